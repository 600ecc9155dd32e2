"""What works with ``--cores`` works with ``--executor ray``, with the same results."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import textwrap
from pathlib import Path

import pytest
from runs import Workspace

from snakemake_repro.operations.sync import pending
from snakemake_repro.records import FileKind, JobState, JobStatus, Origin, Tier

pytestmark = pytest.mark.integration

SNAKEFILE = r"""
import json, os
GREETING = "it's {not} formatted"
config.setdefault("name", "world")
envvars: "REPRO_TEST_TOKEN"

rule all:
    input: "out/last.txt", "out/r.txt", "out/touched", "out/dir", "out/spaces in name.txt",

rule shell:
    output: "out/{x}.shell.txt"
    params: p=lambda wc: f"<{wc.x}>", q=[1, "two words"]
    threads: 2
    log: "logs/{x}.log"
    shell:
        "echo {GREETING:q} {config[name]} {params.p:q} {params.q} {threads} $OMP_NUM_THREADS "
        "{wildcards.x} {rule} > {output}; test -d {resources.tmpdir:q} && test $TMPDIR = {resources.tmpdir}; "
        "echo said on stderr >&2; echo logged > {log}"

rule script:
    input: first="out/a.shell.txt", many=["out/b.shell.txt", "out/c.shell.txt"]
    output: text="out/script.txt"
    params: deep={"a": [1, (2, 3)], "b": None}, number=0.5
    resources: mem_mb=50
    script: "scripts/work.py"

rule bash:
    input: "out/script.txt"
    output: "out/bash.txt"
    script: "scripts/work.sh"

rule run:
    input: "out/bash.txt"
    output: "out/run.txt"
    run:
        with open(output[0], "w") as f:
            f.write(open(input[0]).read() + GREETING)

rule wrap:
    input: "out/run.txt"
    output: "out/wrapped.txt"
    params: greeting="hi"
    wrapper: f"file://{os.getcwd()}/wrap"

rule last:
    input: "out/wrapped.txt", "out/local.txt"
    output: "out/last.txt"
    shell: "cat {input} > {output}"

localrules: local

rule local:
    output: "out/local.txt"
    shell: "echo local > {output}"

rule temporary:
    output: temp("out/temporary.txt")
    shell: "echo temporary > {output}"

rule reader:
    input: "out/temporary.txt"
    output: "out/r.txt"
    shell: "cp {input} {output}"

rule touched:
    output: touch("out/touched")
    shell: "true"

rule directory:
    output: directory("out/dir")
    shell: "mkdir {output} && echo 1 > {output}/one && mkdir {output}/deep && echo 2 > {output}/deep/two"

rule odd:
    output: "out/spaces in name.txt"
    shell: "echo odd > {output:q}"
"""

WORK_PY = """
import helper
import sys
with open(snakemake.output.text, "w") as f:
    for name in snakemake.input:
        f.write(open(name).read())
    f.write(repr((dict(snakemake.params.items()), snakemake.wildcards.items().__class__.__name__)))
    f.write(f"{snakemake.input.first} {snakemake.input.many} {snakemake.threads} ")
    f.write(f"{snakemake.resources.mem_mb} {snakemake.config} {snakemake.rule} {helper.VALUE}")
    f.write(str(__file__.endswith("scripts/work.py")))
"""

WORK_SH = """
#!/bin/bash
cat "${snakemake_input[0]}" > "${snakemake_output[0]}"
echo "${snakemake[rule]} ${snakemake[threads]}" >> "${snakemake_output[0]}"
"""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def features(workspace: Workspace) -> Workspace:
    workspace.write("Snakefile", SNAKEFILE)
    workspace.write("scripts/work.py", WORK_PY)
    workspace.write("scripts/helper.py", "VALUE = 'from a module beside the script'\n")
    workspace.write("scripts/work.sh", WORK_SH.lstrip())
    workspace.write("wrap/environment.yaml", "channels: []\ndependencies: []\n")
    workspace.write(
        "wrap/wrapper.py",
        "open(snakemake.output[0], 'w').write(open(snakemake.input[0]).read() + snakemake.params.greeting)",
    )
    workspace.environ["REPRO_TEST_TOKEN"] = "a-very-secret-value"
    return workspace


def test_results_are_those_of_the_local_executor(features: Workspace) -> None:
    """The wrapper's environment asks for nothing and has no lock, hence the flag."""
    features.ok("--ray-environments", "host")
    ray = {
        p.relative_to(features.root): p.read_bytes()
        for p in sorted(features.root.glob("out/**/*"))
        if p.is_file()
    }
    history = features.history

    tiers = {job.record.spec.rule: job.record.tier for job in history.jobs}
    assert {rule for rule, tier in tiers.items() if tier is Tier.FORK} == {"run"}
    assert {rule for rule, tier in tiers.items() if tier is Tier.SNAKEMAKE} == {"local"}
    assert all(job.state is JobState.ACCEPTED for job in history.jobs)
    assert history.end is not None
    assert history.end.status == "succeeded"
    assert features.job("local").record.origin is Origin.LOCAL

    for job in history.jobs:
        for file in job.record.outputs:
            path = features.root / file.path
            if file.kind is FileKind.FILE and path.exists():
                assert file.digest is not None, file
                assert file.digest.value == _sha256(path), file
        assert job.record.key is not None

    script = features.job("script").record
    assert [(f.name, f.path) for f in script.spec.inputs] == [
        ("first", "out/a.shell.txt"),
        ("many", "out/b.shell.txt"),
        ("many", "out/c.shell.txt"),
    ]
    assert features.job("temporary").removed == ("out/temporary.txt",)
    [temporary] = features.job("temporary").record.outputs
    assert temporary.digest is not None
    assert temporary.digest.value == hashlib.sha256(b"temporary\n").hexdigest()
    [touched] = features.job("touched").record.outputs
    assert (touched.kind, touched.size) == (FileKind.FILE, 0)
    [directory] = features.job("directory").record.outputs
    assert (directory.kind, directory.size) == (FileKind.DIRECTORY, 4)

    for path in features.root.glob("out"):
        for item in sorted(path.rglob("*"), reverse=True):
            item.rmdir() if item.is_dir() else item.unlink()
    features.ok(executor="local")
    local = {
        p.relative_to(features.root): p.read_bytes()
        for p in sorted(features.root.glob("out/**/*"))
        if p.is_file()
    }
    assert ray == local


def test_the_fork_tier_gives_the_same_results(features: Workspace) -> None:
    features.ok("--ray-environments", "host", "out/last.txt")
    direct = (features.root / "out/last.txt").read_bytes()
    features.ok("--ray-environments", "host", "--ray-tier", "fork", "--forceall", "out/last.txt")
    assert (features.root / "out/last.txt").read_bytes() == direct
    tiers = {job.record.tier for job in features.history.jobs if job.record.origin is Origin.RAY}
    assert tiers == {Tier.FORK}


def test_a_second_run_does_nothing_and_a_changed_parameter_only_what_follows(
    workspace: Workspace,
) -> None:
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "c.txt", "d.txt"
        rule a:
            output: "a.txt"
            params: x=config.get("number", 1)
            shell: "echo {params.x} > {output}"
        rule c:
            input: "a.txt"
            output: "c.txt"
            shell: "cp {input} {output}"
        rule d:
            output: "d.txt"
            shell: "echo d > {output}"
        """,
    )
    workspace.ok()
    assert "Nothing to be done" in workspace.ok().output
    assert len(workspace.histories()) == 1
    workspace.ok("--config", "number=2")
    origins = {job.record.spec.rule: job.record.origin for job in workspace.history.jobs}
    assert origins == {"a": Origin.RAY, "c": Origin.RAY, "d": Origin.REUSED}
    first, second = workspace.histories()
    keys = [
        {job.record.spec.rule: job.record.key for job in history.jobs}
        for history in (first, second)
    ]
    assert keys[0]["a"] != keys[1]["a"]
    assert keys[0]["c"] != keys[1]["c"]


def test_groups_checkpoints_and_everything_else_take_the_fork_tier(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "grouped2.txt", "collected.txt", "shadowed.txt", "benchmark.tsv", "piped.txt"
        rule g1:
            output: "grouped1.txt"
            group: "g"
            shell: "echo g1 > {output}"
        rule g2:
            input: "grouped1.txt"
            output: "grouped2.txt"
            group: "g"
            shell: "cat {input} > {output}; echo g2 >> {output}"
        checkpoint many:
            output: directory("many")
            shell: "mkdir {output}; for i in 1 2 3; do echo $i > {output}/$i.txt; done"
        def collected(wildcards):
            folder = checkpoints.many.get().output[0]
            return expand(f"{folder}/{{i}}.copy", i=glob_wildcards(f"{folder}/{{i}}.txt").i)
        rule copy:
            input: "many/{i}.txt"
            output: "many/{i}.copy"
            shell: "cp {input} {output}"
        rule collect:
            input: collected
            output: "collected.txt"
            shell: "sort {input} > {output}"
        rule shadowed:
            output: "shadowed.txt"
            shadow: "minimal"
            shell: "touch left-behind; echo s > {output}"
        rule benchmarked:
            output: "benchmarked.txt"
            benchmark: "benchmark.tsv"
            shell: "echo b > {output}"
        rule producer:
            output: pipe("pipe")
            shell: "echo through a pipe > {output}"
        rule consumer:
            input: "pipe"
            output: "piped.txt"
            shell: "cat {input} > {output}"
        """,
    )
    workspace.ok("benchmarked.txt", "all")
    assert (workspace.root / "grouped2.txt").read_text() == "g1\ng2\n"
    assert (workspace.root / "collected.txt").read_text() == "1\n2\n3\n"
    assert (workspace.root / "piped.txt").read_text() == "through a pipe\n"
    assert not (workspace.root / "left-behind").exists()
    tiers = {job.record.spec.rule: job.record.tier for job in workspace.history.jobs}
    assert {rule for rule, tier in tiers.items() if tier is Tier.FORK} == {
        "g1",
        "g2",
        "producer",
        "consumer",
    }
    assert all(job.state is JobState.ACCEPTED for job in workspace.history.jobs)
    assert workspace.job("g1").record.group == workspace.job("g2").record.group


def test_benchmarks_are_what_snakemake_makes_of_them(workspace: Workspace) -> None:
    workspace.write("in.txt", "input\n" * 1000)
    workspace.write(
        "scripts/work.py",
        "open(snakemake.output[0], 'a').write(f'{snakemake.bench_iteration} ')\n",
    )
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "shell-x.txt", "script.txt"
        rule shell:
            input: "in.txt"
            output: "shell-{name}.txt"
            params: text="it's here", deep={"a": [1, (2, 3)]}
            threads: 2
            benchmark: repeat("bench/{name}.tsv", 2)
            shell:
                "for i in $(seq 20000); do :; done; sleep 0.6; touch {resources.tmpdir};"
                "echo {params.text:q} >> {output}"
        rule script:
            output: "script.txt"
            benchmark: repeat("script.jsonl", 3)
            script: "scripts/work.py"
        """,
    )

    def made() -> tuple[list[str], list[dict[str, str]], list[dict[str, str]], str, str]:
        header, *rows = (
            line.split("\t") for line in (workspace.root / "bench/x.tsv").read_text().splitlines()
        )
        lines = (workspace.root / "script.jsonl").read_text().splitlines()
        return (
            header,
            [dict(zip(header, row, strict=True)) for row in rows],
            [json.loads(line) for line in lines],
            (workspace.root / "shell-x.txt").read_text(),
            (workspace.root / "script.txt").read_text(),
        )

    workspace.ok("--benchmark-extended", executor="local")
    wanted = made()
    workspace.ok("--benchmark-extended", "--forceall")
    found = made()
    assert found[0] == wanted[0]
    assert found[3:] == wanted[3:] == ("it's here\n" * 2, "0 1 2 ")
    assert {workspace.job(rule).record.tier for rule in ("shell", "script")} == {Tier.DIRECT}
    described = ("rule_name", "wildcards", "params", "threads", "input_size_mb")
    for ours, theirs in zip(found[1] + found[2], wanted[1] + wanted[2], strict=True):
        assert [ours[name] for name in described] == [theirs[name] for name in described]
    for row in found[1]:
        assert float(row["s"]) > 0.6
        assert min(float(row[name]) for name in ("max_rss", "max_vms", "max_uss", "max_pss")) > 0
        assert float(row["cpu_time"]) > 0


def test_shadow_rules_give_what_snakemake_gives(workspace: Workspace) -> None:
    workspace.write("data/in.txt", "in\n")
    workspace.write("helper.txt", "help\n")
    # one after the other: in `full`, a job sees what others have made
    names = ["minimal", "copied", "shallow", "full", "true"]
    rules = [
        f"""
        rule {name}:
            input: {["data/in.txt", *(f"out/{one}.txt" for one in names[:index])]}
            output: "out/{name}.txt", directory("out/{name}.d"), link="out/{name}.link"
            log: "logs/{name}.log"
            benchmark: "bench/{name}.tsv"
            shadow: {depth}
            shell:
                "touch left-behind;"
                "seen=$(find . -path ./.snakemake -prune -o -path ./.repro -prune -o -print | sort);"
                "printf '%s\\n' $seen > {{output[0]}};"
                "cat {{input[0]}} >> {{output[0]}}; cat helper.txt >> {{output[0]}} || true;"
                "mkdir -p {{output[1]}}; echo x > {{output[1]}}/x; ln -s {name}.txt {{output.link}};"
                "echo said > {{log}}"
        """
        for index, (name, depth) in enumerate(
            zip(
                names,
                ["'minimal'", "'copy-minimal'", "'shallow'", "'full'", "True"],
                strict=True,
            )
        )
    ]
    failing = """
        rule failing:
            output: "out/failing.txt"
            log: "logs/failing.log"
            shadow: "minimal"
            shell: "touch {output}; echo said > {log}; exit 3"
        """
    workspace.write("Snakefile", "".join(map(textwrap.dedent, [*rules, failing])))

    def made() -> dict[str, str]:
        folders = [path for name in ("out", "logs") for path in (workspace.root / name).rglob("*")]
        return {str(path.relative_to(workspace.root)): _content(path) for path in folders}

    found = []
    for executor in ("local", "ray"):
        workspace.ok("out/true.txt", executor=executor)
        workspace.fails("out/failing.txt", executor=executor)
        found.append(made())
        assert not list((workspace.root / ".snakemake/shadow").iterdir())
        assert len(list((workspace.root / "bench").iterdir())) == 5
        for name in ("out", "logs", "bench"):
            shutil.rmtree(workspace.root / name)
    assert found[0] == found[1]
    assert found[0]["logs/failing.log"] == "said\n"
    assert found[0]["out/minimal.link"] == "minimal.txt"
    assert not (workspace.root / "left-behind").exists()
    tiers = [job.record.tier for history in workspace.histories() for job in history.jobs]
    assert set(tiers) == {Tier.DIRECT}


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return "a directory" if path.is_dir() else path.read_text()


def test_a_failed_job_shows_its_log_and_is_in_the_record(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule good:
            output: "good.txt"
            shell: "echo fine > {output}"
        rule bad:
            input: "good.txt"
            output: "bad.txt"
            shell: "echo half > {output}; echo the reason is this >&2; exit 7"
        """,
    )
    done = workspace.fails("bad.txt")
    assert "the command exited with status 7" in done.output
    assert "the reason is this" in done.output
    assert not (workspace.root / "bad.txt").exists()
    job = workspace.job("bad")
    assert (job.state, job.record.status, job.record.exit_code) == (
        JobState.REJECTED,
        JobStatus.FAILED,
        7,
    )
    assert job.record.log is not None
    assert "the reason is this" in (workspace.root / job.record.log.path).read_text()
    assert workspace.job("good").state is JobState.ACCEPTED
    assert workspace.history.end is not None
    assert workspace.history.end.status == "failed"


def test_an_output_that_is_not_produced_is_rejected(workspace: Workspace) -> None:
    workspace.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'true'\n")
    done = workspace.fails()
    assert "a.txt" in done.output
    job = workspace.job("a")
    assert job.state is JobState.REJECTED
    assert job.record.outputs[0].kind is FileKind.MISSING


def test_retries_raise_the_attempt_and_reevaluate_resources(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule flaky:
            output: "flaky.txt"
            retries: 2
            resources: mem_mb=lambda wc, attempt: attempt * 10
            shell: "test {resources.mem_mb} -ge 30 && echo ok > {output}"
        """,
    )
    workspace.ok()
    jobs = workspace.jobs("flaky")
    assert [job.record.attempt for job in jobs] == [1, 2, 3]
    assert [job.record.resources["mem_mb"] for job in jobs] == [10, 20, 30]
    assert [job.state for job in jobs] == [JobState.REJECTED, JobState.REJECTED, JobState.ACCEPTED]
    assert len({job.record.key for job in jobs}) == 3, "the command names the memory"


def test_more_threads_than_there_are_is_a_warning_not_an_endless_wait(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        "rule a:\n    output: 'a.txt'\n    threads: 64\n    shell: 'echo {threads} > {output}'\n",
    )
    done = workspace.ok()
    assert len(re.findall("more threads than the largest node", done.output)) == 1


def test_declared_environment_variables_reach_the_job_and_not_the_record(
    workspace: Workspace,
) -> None:
    secret = "correct-horse-battery-staple"
    workspace.write(
        "Snakefile",
        """
        envvars: "REPRO_TEST_SECRET"
        rule a:
            output: "a.txt"
            params: token=os.environ["REPRO_TEST_SECRET"]
            shell: "echo ${{#REPRO_TEST_SECRET}} {params.token} | wc -c > {output}"
        """,
    )
    workspace.ok("--config", f"password={secret}", env={"REPRO_TEST_SECRET": secret})
    assert (workspace.root / "a.txt").read_text().strip() == str(len(secret) + 4)
    for path in (workspace.root / ".repro").rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_metrics_reach_the_record_from_any_language(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule a:
            output: "a.txt"
            shell: '''echo '{{"auc": 0.5, "step": 2}}' >> $REPRO_METRICS; echo nonsense >> $REPRO_METRICS; touch {output}'''
        """,
    )
    workspace.ok()
    record = workspace.job("a").record
    assert [(m.name, m.value, m.step) for m in record.metrics] == [("auc", 0.5, 2)]
    assert len(record.integrity) == 1


def test_an_input_that_changes_under_a_job_is_reported(workspace: Workspace) -> None:
    workspace.write("in.txt", "1")
    workspace.write(
        "Snakefile",
        "rule a:\n    input: 'in.txt'\n    output: 'a.txt'\n    shell: 'cp {input} {output}; echo more >> {input}; sleep 1.1; touch {output}'\n",
    )
    workspace.run()
    assert workspace.job("a").record.integrity == ("input in.txt changed while the job ran",)


def test_a_very_long_command_runs(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        "rule a:\n    output: 'a.txt'\n    params: x='y' * 150_000\n    shell: 'echo {params.x} | wc -c > {output}'\n",
    )
    workspace.ok()
    assert (workspace.root / "a.txt").read_text().strip() == "150001"


def test_the_record_waits_for_its_delivery_when_the_user_says_so(workspace: Workspace) -> None:
    workspace.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'touch {output}'\n")
    assert workspace.environ["REPRO_DELIVERY"] == "later"
    done = workspace.ok("--ray-delivery-wait", "60")
    assert "stays in .repro until `repro sync`" in done.output
    assert not (workspace.root / ".repro/recorder.log").exists()
    assert (pending(workspace.root).runs, pending(workspace.root).jobs) == (1, 1)
    workspace.repro("sync")
    assert pending(workspace.root).runs == 0


def test_nothing_is_recorded_when_the_user_says_so(workspace: Workspace) -> None:
    workspace.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'touch {output}'\n")
    workspace.ok("--ray-no-record")
    assert (workspace.root / "a.txt").exists()
    assert not (workspace.root / ".repro").exists()
