"""Every feature of Snakemake gives the same files under both executors, in the tier it should take.

The workflow in ``tests/workflows/features`` has a rule for each feature of the Snakefile; it runs
once under each executor. What is a matter of the command line has a small workflow of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from clusters import RunningCluster
from conda_channel import serve
from pairs import Pair, tree

from snakemake_repro.records import JobState, Tier

pytestmark = pytest.mark.integration

WORKFLOW = Path(__file__).parents[1] / "workflows" / "features"

DIRECT, FORK, DRIVER = Tier.DIRECT, Tier.FORK, Tier.SNAKEMAKE

FEATURES = {
    "ancient": {"aged": DIRECT},
    "benchmark": {"once": DIRECT, "thrice": FORK, "run_benchmark": FORK},
    "cache": {"cached": FORK},
    "checkpoint": {"many": DIRECT, "copied": DIRECT, "collect": DIRECT},
    "fields": {"fields": DIRECT, "whole": DIRECT, "whole_resources": FORK},
    "flags": {
        "temporary": DIRECT,
        "from_temporary": DIRECT,
        "protected": DIRECT,
        "touched": DIRECT,
        "folder": DIRECT,
        "filled": DIRECT,
        "fixed": DIRECT,
        "reported": DIRECT,
        "updated": FORK,
    },
    "functions": {"functions": DIRECT},
    "group": {"first": FORK, "second": FORK, "third": FORK, "grouped_by_flag": FORK},
    "interpreter": {"interpreter": DIRECT, "default_interpreter": DIRECT},
    "languages": {
        "python": DIRECT,
        "unplain": FORK,
        "bash": DIRECT,
        "R": DIRECT,
        "julia": DIRECT,
        "rust": DIRECT,
        "run": FORK,
        "wrapped": DIRECT,
    },
    "local": {"local": DRIVER, "handed_over": DRIVER, "yte": DRIVER, "jinja": DRIVER},
    "log": {"log": DIRECT},
    "modules": {
        "other_out": DIRECT,
        "other_script": DIRECT,
        "other_changed": DIRECT,
        "inherited": DIRECT,
        "other_source": DIRECT,
    },
    "multiext": {"extended": DIRECT, "extended_by_name": FORK, "from_extended": DIRECT},
    "pathvars": {"pathvar": DIRECT},
    "pipe": {"producer": FORK, "consumer": FORK},
    "ruleorder": {"preferred": DIRECT},
    "scatter": {"scatter": FORK, "gather": DIRECT},
    "service": {"server": FORK, "client": FORK},
    "shadow": {
        "shadow_full": DIRECT,
        "shadow_true": DIRECT,
        "shadow_shallow": DIRECT,
        "shadow_minimal": DIRECT,
        "shadow_copy": DIRECT,
        "shadow_script": DIRECT,
    },
    "source_path": {"located": DIRECT, "located_in_run": FORK},
    "threads": {"threads": DIRECT},
    "tmpdir": {"tmpdir": DIRECT, "own_tmpdir": DIRECT},
    "unpack": {"unpacked": DIRECT},
    "variables": {"variables": DIRECT},
}
"""The folder of outputs of each feature, and which tier runs the rules that write there."""

PROGRAMS = {"R": "Rscript", "julia": "julia", "rust": "rust-script"}
"""What the rule of a language needs; the workflow leaves out what is not there."""


@pytest.fixture(scope="module")
def features(
    tmp_path_factory: pytest.TempPathFactory, cluster: RunningCluster, tracking_uri: str
) -> Pair:
    """The workflow with everything in it, run under both executors."""
    pair = Pair(tmp_path_factory.mktemp("features"), cluster, tracking_uri)
    pair.copy(WORKFLOW)
    for workspace in pair.both:
        workspace.environ["SNAKEMAKE_OUTPUT_CACHE"] = str(workspace.root / "cache")
        (workspace.root / "cache").mkdir()
        older = workspace.write("out/flags/updated.txt", "old\n")
        os.utime(older, (1_000_000_000, 1_000_000_000))
    variable = {"REPRO_TEST_VARIABLE": "a value"}
    groups = ("--groups", "grouped_by_flag=mine", "--group-components", "mine=3")
    # the wrapper's environment asks for nothing and has no lock
    ours = ("--ray-environments", "host")
    done = pair.run("--cache", *groups, ray=ours, env=variable)
    assert done[0].status == 0, done[0].output
    return pair


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_gives_the_same_files_in_the_tier_it_should_take(
    features: Pair, feature: str
) -> None:
    made = {path for path in tree(features.local.root) if path.startswith(f"out/{feature}/")}
    assert made
    different = {path for path in features.differences() if path.startswith(f"out/{feature}/")}
    assert different == set()
    jobs = [job for job in features.ray.history.jobs if job.record.spec.rule in FEATURES[feature]]
    tiers = {job.record.spec.rule: job.record.tier for job in jobs}
    expected = {
        rule: tier
        for rule, tier in FEATURES[feature].items()
        if rule not in PROGRAMS or shutil.which(PROGRAMS[rule])
    }
    assert tiers == expected
    assert {job.state for job in jobs} == {JobState.ACCEPTED}


def test_nothing_is_left_beside_the_outputs_that_the_local_executor_does_not_leave(
    features: Pair,
) -> None:
    assert features.differences() == {}


def test_no_rule_of_the_workflow_is_without_an_expected_tier(features: Pair) -> None:
    ran = {job.record.spec.rule for job in features.ray.history.jobs}
    assert ran == {rule for rules in FEATURES.values() for rule in rules if rule in ran}
    assert {path.name for path in (features.ray.root / "out").iterdir()} == set(FEATURES)


CHAIN = """
rule all:
    input: "c.txt", "d.txt"
rule a:
    output: temp("a.txt")
    shell: "echo a >> a.log; echo a > {output}"
rule b:
    input: "a.txt"
    output: "b.txt"
    shell: "echo b >> b.log; cat {input} > {output}"
rule c:
    input: "b.txt"
    output: "c.txt"
    run: shell("echo c >> c.log; cat {input} > {output}")
rule d:
    input: "a.txt"
    output: "d.txt"
    shell: "echo d >> d.log; cat {input} > {output}"
"""


def test_flags_choose_the_same_jobs(pair: Pair) -> None:
    pair.write("Snakefile", CHAIN)
    pair.ok("--dry-run")
    assert not (pair.ray.root / ".repro").exists()
    pair.ok("--until", "b", "--notemp")
    assert sorted(tree(pair.ray.root)) == ["Snakefile", "a.log", "a.txt", "b.log", "b.txt"]
    pair.ok("--omit-from", "c")
    pair.ok("--forcerun", "b")
    assert (pair.ray.root / "b.log").read_text() == "b\nb\n"
    pair.ok("--touch")
    _, ray = pair.ok()
    assert "Nothing to be done" in ray.output


def test_flags_change_the_same_jobs(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        """
        rule all:
            input: expand("out/{n}.txt", n=range(2)), "out/scattered.txt"
        scattergather: pieces=4
        rule a:
            output: "out/{n}.txt"
            benchmark: "out/{n}.tsv"
            shadow: "minimal"
            threads: 1
            resources: mem_mb=10
            shell: "echo {threads} {resources.mem_mb} {resources.disk_mb} {resources.own} {config} > {output}"
        rule s:
            output: scatter.pieces("out/{scatteritem}.piece")
            shell: "echo {resources.tmpdir} {resources.mem_mb} > out/s; touch {output}"
        rule g:
            input: gather.pieces("out/{scatteritem}.piece")
            output: "out/scattered.txt"
            shell: "ls out/*.piece > {output}"
        """,
    )
    flags = ["--set-threads", "a=2", "--set-resources", "a:mem_mb=20", "a:own=7"]
    flags += ["--default-resources", "mem_mb=30", "disk_mb=40", "tmpdir='own'"]
    flags += ["--set-scatter", "pieces=2", "--benchmark-extended", "--shadow-prefix", "shadows"]
    flags += ["--directory", "below", "--config", "key=[1,2]", "--retries", "1"]
    pair.ok(*flags)
    out = pair.ray.root / "below" / "out"
    assert (out / "0.txt").read_text() == "2 20 40 7 {key: [1, 2]}\n"
    assert (out / "s").read_text() == "own 30\n"
    assert len(list(out.glob("*.piece"))) == 2


def test_failures_leave_the_same_files(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        """
        rule all:
            input: "a.txt", "b.txt", "c.txt", "d.txt", "f.txt"
        rule a:
            output: "a.txt"
            log: "a.log"
            shell: "echo half > {output}; echo why > {log}; echo tried >> tries; exit 7"
        rule b:
            output: "b.txt"
            run:
                open(output[0], "w").write("half")
                raise ValueError("the reason of b")
        rule c:
            input: "b.txt"
            output: "c.txt"
            shell: "cp {input} {output}"
        rule d:
            output: "d.txt", "e.txt"
            shell: "echo d | tee {output}"
        rule f:
            output: "f.txt"
            retries: 2
            resources: mem_mb=lambda wildcards, attempt: attempt * 10
            shell: "echo {resources.mem_mb} >> f.log; test {resources.mem_mb} -ge 30; cp f.log {output}"
        """,
    )
    local, ray = pair.fails("--keep-going", "--retries", "1")
    left = ["Snakefile", "a.log", "d.txt", "e.txt", "f.log", "f.txt", "tries"]
    assert sorted(tree(pair.ray.root)) == left
    assert (pair.ray.root / "f.txt").read_text() == "10\n20\n30\n"
    assert (pair.ray.root / "tries").read_text() == "tried\ntried\n"
    for place in ("Snakefile, line 7", "Snakefile, line 12"):
        for done in (local, ray):
            assert place in re.sub(r'"?\S*/Snakefile"', "Snakefile", done.output), done.output
    assert "the reason of b" in ray.output
    pair.fails("--keep-going", "--keep-incomplete")
    assert (pair.ray.root / "a.txt").read_text() == "half\n"


def test_the_shell_of_the_workflow_is_the_shell_of_its_jobs(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        """
        shell.executable("sh")
        shell.prefix("OWN='a prefix'; ")
        shell.suffix("; echo a suffix >> log")
        rule all:
            input: "shell.txt", "run.txt", "bash.txt", "script.txt"
        rule s:
            output: "shell.txt"
            shell: "echo $OWN $0 > {output}"
        rule r:
            output: "run.txt"
            run: shell("echo $OWN $0 > {output}")
        rule b:
            output: "bash.txt"
            resources: shell_exec="bash"
            shell: "echo $OWN $0 > {output}"
        rule p:
            output: "script.txt"
            script: "script.sh"
        """,
    )
    pair.write("script.sh", "echo $OWN ${snakemake[rule]} > ${snakemake_output[0]}\n")
    pair.ok()
    assert pair.tiers == {"s": DIRECT, "r": FORK, "b": DIRECT, "p": DIRECT}


def test_priorities_order_what_waits(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        """
        rule all:
            input: expand("{n}.txt", n=range(4))
        for number in range(4):
            rule:
                output: f"{number}.txt"
                params: number
                priority: number
                shell: "echo {params} >> order; touch {output}"
        """,
    )
    pair.ok("--jobs", "1")
    assert (pair.ray.root / "order").read_text() == "3\n2\n1\n0\n"


def test_immediate_submission_is_refused(pair: Pair) -> None:
    pair.write("Snakefile", CHAIN)
    done = pair.ray.fails("--immediate-submit", "--notemp")
    assert "--immediate-submit" in done.output
    assert "Hint:" in done.output
    assert not (pair.ray.root / "a.txt").exists()


def test_storage_of_a_plugin_is_read_and_written(pair: Pair) -> None:
    pytest.importorskip("snakemake_storage_plugin_fs")
    if shutil.which("rsync") is None:
        pytest.skip("the storage plugin needs rsync")
    pair.write("store/in.txt", "kept elsewhere\n")
    pair.write(
        "Snakefile",
        """
        storage: provider="fs"
        rule all:
            input: storage.fs("store/shell.txt"), storage.fs("store/run.txt"), "plain.txt"
        rule s:
            input: storage.fs("store/in.txt")
            output: storage.fs("store/shell.txt")
            shell: "cp {input} {output}"
        rule r:
            input: storage.fs("store/shell.txt")
            output: storage.fs("store/run.txt")
            run: shell("cat {input} {input} > {output}")
        rule p:
            input: storage.fs("store/run.txt")
            output: "plain.txt"
            shell: "cat {input} > {output}"
        """,
    )
    pair.ok()
    assert (pair.ray.root / "store/run.txt").read_text() == "kept elsewhere\n" * 2
    assert set(pair.tiers.values()) == {FORK}


CWL_TOOL = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
stdout: $(inputs.to)
inputs:
  text: {type: File, inputBinding: {position: 1}}
  again: {type: File, inputBinding: {position: 2}}
  to: string
outputs:
  made: stdout
"""


def test_tools_of_cwl_run(pair: Pair, tmp_path: Path) -> None:
    """Recent versions of cwltool refuse the way in which Snakemake names a file of this machine."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if shutil.which("cwltool", path=path) is None:
        pytest.skip("needs cwltool")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/repeat.cwl").write_text(CWL_TOOL)
    pair.write("in.txt", "text\n")
    with serve(tmp_path / "tools") as url:
        pair.write(
            "Snakefile",
            f"""
            rule all:
                input: "after.txt"
            rule tool:
                input: text="in.txt", again="in.txt"
                output: to="out.txt"
                cwl: "{url}/repeat.cwl"
            rule after:
                input: "out.txt"
                output: "after.txt"
                shell: "cat {{input}} > {{output}}"
            """,
        )
        pair.ok(env={"PATH": path})
    assert (pair.ray.root / "after.txt").read_text() == "text\n" * 2
    assert pair.tiers == {"tool": FORK, "after": DIRECT}


MODULES = Path("/usr/share/modules/init/bash")


@pytest.mark.skipif(not MODULES.exists(), reason="needs environment-modules")
def test_environment_modules_are_loaded(pair: Pair) -> None:
    pair.write("modulefiles/lab/1.0", "#%Module1.0\nsetenv LAB_VERSION 1.0\n")
    pair.write(
        "Snakefile",
        """
        envvars: "BASH_ENV", "MODULEPATH"
        rule all:
            input: "shell.txt", "run.txt", "script.txt", "none.txt"
        rule s:
            output: "shell.txt"
            envmodules: "lab/1.0"
            shell: "echo $LAB_VERSION > {output}"
        rule r:
            output: "run.txt"
            envmodules: "lab/1.0"
            run: shell("echo $LAB_VERSION > {output}")
        rule p:
            output: "script.txt"
            envmodules: "lab/1.0"
            script: "script.py"
        rule n:
            output: "none.txt"
            shell: "echo ${{LAB_VERSION:-none}} > {output}"
        """,
    )
    pair.write(
        "script.py", "import os\nopen(snakemake.output[0], 'w').write(os.environ['LAB_VERSION'])\n"
    )
    for workspace in pair.both:
        workspace.environ["BASH_ENV"] = str(MODULES)
        workspace.environ["MODULEPATH"] = str(workspace.root / "modulefiles")
    pair.ok("--software-deployment-method", "env-modules")
    assert (pair.ray.root / "shell.txt").read_text() == "1.0\n"
    assert pair.tiers == {"s": DIRECT, "r": FORK, "p": DIRECT, "n": DIRECT}
