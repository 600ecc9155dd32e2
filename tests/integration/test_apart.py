"""Driver and nodes without a shared file system: files travel with the jobs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from clusters import RunningCluster
from conda_channel import make_channel, serve
from processes import descendants, kill, wait_for
from runs import Workspace

from snakemake_repro.records import (
    EnvironmentKind,
    FileKind,
    IsolationMode,
    JobState,
    JobStatus,
    Tier,
)

pytestmark = pytest.mark.integration

APART = ("--shared-fs-usage", "none")

SNAKEFILE = r"""
import os
from helper import GREETING
envvars: "REPRO_TEST_TOKEN"
configfile: "config.yaml"
WORKDIR = os.getcwd()

rule all:
    input: "out/last.txt", "out/touched", "out/dir", "out/named.txt", "out/bash.txt"

rule shell:
    input: "data/it's {x}.txt"
    output: "out/{x}.shell.txt"
    log: "logs/{x}.log"
    shell: "cat {input:q} > {output}; echo {GREETING} {config[name]} $REPRO_TEST_TOKEN >> {output}; "
           "echo logged > {log}; echo printed; test ! -e undeclared.txt"

rule script:
    input: "out/a.shell.txt", "out/b.shell.txt"
    output: "out/script.txt", directory("out/dir"), temp("out/passing.txt")
    script: "scripts/work.py"

rule bash:
    input: "out/script.txt"
    output: "out/bash.txt"
    script: "scripts/work.sh"

rule run:
    input: "out/script.txt", "out/dir", "out/passing.txt"
    output: "out/run.txt"
    run:
        with open(output[0], "w") as file:
            file.write(open(input[0]).read() + GREETING + open(f"{input[1]}/inner/file.txt").read())

rule touched:
    output: touch("out/touched")

rule named:
    output: "out/named.txt"
    shell: "cat {WORKDIR}/config.yaml > {output}"

rule first:
    input: "out/run.txt"
    output: pipe("out/fifo")
    group: "together"
    shell: "cat {input} > {output}"

rule last:
    input: "out/fifo"
    output: "out/last.txt"
    group: "together"
    shell: "sha256sum < {input} > {output}"
"""

SCRIPT = """
import pathlib, sys
from beside import VALUE
first, folder, passing = snakemake.output
pathlib.Path(first).write_text("".join(pathlib.Path(p).read_text() for p in snakemake.input) + VALUE)
pathlib.Path(folder, "inner").mkdir(parents=True)
pathlib.Path(folder, "inner/file.txt").write_text("inner")
pathlib.Path(folder, "link").symlink_to("inner/file.txt")
pathlib.Path(passing).write_text("passes")
"""

FILES = {
    "Snakefile": SNAKEFILE,
    "helper.py": "GREETING = 'hello'\n",
    "config.yaml": "name: world\n",
    "scripts/work.py": SCRIPT,
    "scripts/beside.py": "VALUE = 'beside\\n'\n",
    "scripts/work.sh": 'cp "${snakemake_input[0]}" "${snakemake_output[0]}"\n',
    "data/it's a.txt": "A\n",
    "data/it's b.txt": "B\n",
    "undeclared.txt": "nobody sees me",
}


@pytest.fixture
def workspace(hidden: Path, apart: RunningCluster, request: pytest.FixtureRequest) -> Workspace:
    root = hidden / request.node.name
    root.mkdir()
    return Workspace(root, apart)


def _write(workspace: Workspace, files: dict[str, str]) -> None:
    for name, text in files.items():
        workspace.write(name, text)


def _contents(root: Path) -> dict[str, str | bytes]:
    found: dict[str, str | bytes] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file() and path.name != ".snakemake_timestamp":
            found[name] = path.read_bytes()
    return found


def test_every_kind_of_rule_makes_what_it_makes_on_one_machine(
    workspace: Workspace, tmp_path: Path
) -> None:
    _write(workspace, FILES)
    environ = {"REPRO_TEST_TOKEN": "token-of-mine"}
    done = workspace.ok(*APART, env=environ)
    assert "without a shared file system" in done.output
    local = Workspace(tmp_path / "local")
    _write(local, {**FILES, "Snakefile": SNAKEFILE.replace("test ! -e undeclared.txt", "true")})
    local.ok(executor="local", env=environ)
    assert _contents(workspace.root / "out") == _contents(local.root / "out")
    assert (workspace.root / "logs/a.log").read_text() == "logged\n"
    assert not (workspace.root / "out/passing.txt").exists()
    jobs = {job.record.spec.rule: job for job in workspace.history.jobs}
    assert {job.state for job in jobs.values()} == {JobState.ACCEPTED}
    tiers = {rule: job.record.tier for rule, job in jobs.items()}
    assert {rule for rule, tier in tiers.items() if tier is Tier.DIRECT} >= {
        "shell", "script", "bash",
    }  # fmt: skip
    assert tiers["named"] is Tier.FORK, "its command names the working directory"
    [log] = (workspace.root / ".snakemake/ray/shell/x=a").glob("*.log")
    assert "printed" in log.read_text()
    script = jobs["script"].record
    digest = hashlib.sha256((workspace.root / "out/script.txt").read_bytes()).hexdigest()
    assert script.outputs[0].digest is not None
    assert script.outputs[0].digest.value == digest
    assert script.outputs[1].kind is FileKind.DIRECTORY
    assert {file.path for file in script.spec.inputs} == {"out/a.shell.txt", "out/b.shell.txt"}
    assert str(script.spec.environment) in workspace.history.environments
    assert len(workspace.history.hosts) >= 1
    assert "Nothing to be done" in workspace.ok(*APART, env=environ).output
    left = {path.name for path in (workspace.root / ".repro").iterdir()}
    assert "arriving" not in left or not list((workspace.root / ".repro/arriving").iterdir())
    assert not list((workspace.root / ".snakemake/ray").glob("sources-*"))


def test_environments_are_made_on_the_node(workspace: Workspace, python: str) -> None:
    _write(
        workspace,
        {
            "Snakefile": f"""
                rule all:
                    input: "out/contained.txt", "out/grouped.txt"
                rule pypi:
                    input: "data/in.txt"
                    output: "out/pypi.txt"
                    conda: "envs/pypi.yaml"
                    script: "scripts/version.py"
                rule contained:
                    input: "out/pypi.txt"
                    output: "out/contained.txt"
                    container: "docker://{python}"
                    script: "scripts/label.py"
                rule grouped:
                    input: "out/pypi.txt"
                    output: "out/grouped.txt"
                    container: "docker://{python}"
                    run:
                        shell("cat /etc/label {{input}} > {{output}}")
            """,
            "envs/pypi.yaml": "dependencies: [python, {pip: ['tabulate ==0.9.0']}]\n",
            "scripts/version.py": "import tabulate\n"
            "open(snakemake.output[0], 'w').write(tabulate.__version__ + open(snakemake.input[0]).read())\n",
            "scripts/label.py": "text = open('/etc/label').read() + open(snakemake.input[0]).read()\n"
            "open(snakemake.output[0], 'w').write(text)\n",
            "data/in.txt": "in\n",
        },
    )
    workspace.ok(*APART)
    assert (workspace.root / "out/contained.txt").read_text() == "python\n0.9.0in\n"
    assert (workspace.root / "out/grouped.txt").read_text() == "python\n0.9.0in\n"
    kinds = {
        job.record.spec.rule: workspace.history.environments[str(job.record.spec.environment)].kind
        for job in workspace.history.jobs
    }
    assert kinds == {
        "pypi": EnvironmentKind.PYPI,
        "contained": EnvironmentKind.CONTAINER,
        "grouped": EnvironmentKind.CONTAINER,
    }
    assert not list((workspace.root / ".repro/arriving").glob("*"))


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_conda_and_hermetic_jobs_run_on_the_node(workspace: Workspace, tmp_path: Path) -> None:
    with serve(make_channel(tmp_path / "channel")) as url:
        _write(
            workspace,
            {
                "Snakefile": """
                    rule all:
                        input: "out/closed.txt", "out/forked.txt"
                    rule conda:
                        input: "data/in.txt"
                        output: "out/conda.txt"
                        conda: "envs/greet.yaml"
                        shell: "greet > {output}; cat {input} >> {output}"
                    rule closed:
                        input: "out/conda.txt"
                        output: "out/closed.txt"
                        conda: "envs/greet.yaml"
                        benchmark: "bench/closed.tsv"
                        shadow: "minimal"
                        resources: hermetic=True
                        shell:
                            "touch left; greet > {output}; cat {input} >> {output};"
                            "test -e data/in.txt || echo closed >> {output}"
                    rule forked:
                        input: "out/conda.txt"
                        output: "out/forked.txt"
                        conda: "envs/greet.yaml"
                        run: shell("greet > {output}; cat {input} >> {output}")
                """,
                "envs/greet.yaml": f"channels: [{url}]\ndependencies: [python, greet]\n",
                "data/in.txt": "in\n",
            },
        )
        workspace.ok(*APART)
    assert (workspace.root / "out/closed.txt").read_text() == "greet 2.0\ngreet 2.0\nin\nclosed\n"
    assert (workspace.root / "out/forked.txt").read_text() == "greet 2.0\ngreet 2.0\nin\n"
    jobs = {job.record.spec.rule: job.record for job in workspace.history.jobs}
    kinds = {
        workspace.history.environments[str(job.spec.environment)].kind for job in jobs.values()
    }
    assert kinds == {EnvironmentKind.CONDA}
    isolation = jobs["closed"].isolation
    assert isolation is not None
    assert isolation.mode is IsolationMode.ENFORCE
    assert len((workspace.root / "bench/closed.tsv").read_text().splitlines()) == 2


def test_a_storage_that_driver_and_node_reach_can_be_used(
    workspace: Workspace, tmp_path: Path
) -> None:
    _write(
        workspace,
        {
            "Snakefile": "rule b:\n    input: 'a.txt'\n    output: 'b.txt'\n"
            "    shell: 'cat {input} > {output}; echo b >> {output}'\n"
            "rule a:\n    output: 'a.txt'\n    shell: 'echo a > {output}'\n",
        },
    )
    store = tmp_path / "store"
    store.mkdir()
    storage = ("--default-storage-provider", "fs", "--default-storage-prefix", str(store))
    workspace.ok(*APART, *storage, "--", "b.txt")
    assert (store / "b.txt").read_text() == "a\nb\n"


def test_a_file_that_is_larger_than_the_store_passes_through_it(workspace: Workspace) -> None:
    _write(
        workspace,
        {
            "Snakefile": "rule copy:\n    input: 'out/large'\n    output: 'out/copy'\n"
            "    shell: 'cp {input} {output}'\n"
            "rule large:\n    output: 'out/large'\n"
            "    shell: 'head -c 300000000 /dev/urandom > {output}'\n"
        },
    )
    workspace.ok(*APART, "--", "out/copy")
    first, second = (hashlib.sha256() for _ in range(2))
    first.update((workspace.root / "out/large").read_bytes())
    second.update((workspace.root / "out/copy").read_bytes())
    assert (workspace.root / "out/copy").stat().st_size == 300_000_000
    assert first.digest() == second.digest()


def test_a_failed_job_brings_its_log_and_leaves_no_output(workspace: Workspace) -> None:
    _write(
        workspace,
        {
            "Snakefile": "rule bad:\n    output: 'out/x', 'out/y'\n    log: 'logs/bad.log'\n"
            "    shell: 'echo half > {output[0]}; echo why > {log}; echo said >&2; exit 3'\n"
        },
    )
    done = workspace.run(*APART, "--", "out/x")
    assert done.status == 1
    assert "said" in done.output
    assert (workspace.root / "logs/bad.log").read_text() == "why\n"
    assert not (workspace.root / "out/x").exists()
    [job] = workspace.history.jobs
    assert (job.record.status, job.record.exit_code) == (JobStatus.FAILED, 3)


def test_a_file_from_elsewhere_is_one_clear_error(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    _write(
        workspace,
        {
            "Snakefile": f"rule far:\n    input: '{tmp_path}/data'\n    output: 'out/x'\n"
            "    shell: 'cp {input} {output}'\n"
        },
    )
    done = workspace.run(*APART, "--", "out/x")
    assert done.status == 1
    assert "rule far names" in done.output
    assert "not below the working directory" in done.output
    assert "Traceback" not in done.output


def test_a_snakefile_may_lie_elsewhere(workspace: Workspace, apart: RunningCluster) -> None:
    _write(
        workspace,
        {
            "code/workflow/Snakefile": "rule x:\n    output: 'out/x'\n    script: 'scripts/x.py'\n"
            "rule y:\n    input: 'out/x'\n    output: 'out/y'\n"
            "    run:\n        open(output[0], 'w').write(open(input[0]).read() + 'y')\n",
            "code/workflow/scripts/x.py": "open(snakemake.output[0], 'w').write('x')\n",
            "work/keep": "",
        },
    )
    other = Workspace(workspace.root / "work", apart)
    snakefile = str(workspace.root / "code/workflow/Snakefile")
    other.ok(*APART, "--snakefile", snakefile, "--", "out/y")
    assert (other.root / "out/y").read_text() == "xy"


def test_a_workflow_may_choose_its_working_directory(workspace: Workspace) -> None:
    _write(
        workspace,
        {
            "Snakefile": "configfile: 'config/words.yaml'\nworkdir: 'work'\n"
            "rule x:\n    input: 'in.txt'\n    output: 'out/x'\n    script: 'scripts/x.py'\n"
            "rule y:\n    input: 'out/x'\n    output: 'out/y'\n"
            "    run:\n        open(output[0], 'w').write(open(input[0]).read() + config['word'])\n",
            "config/words.yaml": "word: y\n",
            "scripts/x.py": "open(snakemake.output[0], 'w').write(open('in.txt').read())\n",
            "work/in.txt": "in",
        },
    )
    workspace.ok(*APART, "--", "out/y")
    assert (workspace.root / "work/out/y").read_text() == "iny"

    _write(workspace, {"work/config/words.yaml": "word: z\n"})
    done = workspace.fails(*APART, "--forceall", "--", "out/y")
    assert "configfile config/words.yaml may be" in done.output
    assert "Traceback" not in done.output


def test_an_attempt_whose_worker_is_killed_is_repeated(workspace: Workspace) -> None:
    _write(
        workspace,
        {
            "Snakefile": "rule slow:\n    output: 'out/x'\n"
            "    shell: 'echo begun; sleep 8.25; echo done > {output}'\n"
        },
    )
    with workspace.start(*APART, "--", "out/x") as process:
        wait_for(lambda: _running("sleep 8.25"), what="the job")
        [worker] = descendants(os.getpid(), "ray::execute_apart")
        kill(worker)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert (workspace.root / "out/x").read_text() == "done\n"
    states = sorted(job.record.status.value for job in workspace.history.jobs)
    assert states == ["lost", "succeeded"]


def _running(command: str) -> bool:
    """Tell whether a command runs anywhere below this process's cluster; agents stand apart."""
    done = subprocess.run(["pgrep", "-xf", command], capture_output=True, check=False)
    return done.returncode == 0
