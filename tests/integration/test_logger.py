"""``--logger repro`` records every job of any executor, and never gets in the way."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from pathlib import Path

import pytest
from processes import wait_for
from runs import Done, Workspace

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.logic.history import results
from snakemake_repro.records import Digest, FileKind, JobState, JobStatus, Origin, Tier

pytestmark = pytest.mark.integration

_LOGGER = ("--logger", "repro")
_SECRET = "hunter2-hunter2"
_SNAKEFILE = """
    rule all:
        input: "out/c.txt", "out/s.txt", "out/flaky.txt", "out/t.txt"
    rule a:
        output: temp("out/a.txt")
        shell: "seq 10 > {output}"
    rule b:
        input: numbers="out/a.txt"
        output: "out/b.txt"
        log: "logs/b.log"
        shell: "tac {input} > {output}; echo done > {log}"
    rule c:
        input: "out/b.txt"
        output: "out/c.txt"
        params: scale=2
        run:
            with open(output[0], "w") as file:
                file.write(str(params.scale))
    rule s:
        output: table="out/s.txt"
        script: "s.py"
    rule flaky:
        output: "out/flaky.txt"
        retries: 1
        shell: "if [ -e once ]; then echo ok > {output}; else touch once; exit 7; fi"
    rule touched:
        output: touch("out/t.txt")
    """
_SCRIPT = "open(snakemake.output.table, 'w').write('s')\n"


def _digest(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())


def _study(workspace: Workspace) -> None:
    workspace.write("Snakefile", _SNAKEFILE)
    workspace.write("s.py", _SCRIPT)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Done]:
    """A workflow with jobs of many kinds, and what one run of it said; only to be looked at."""
    workspace = Workspace(tmp_path_factory.mktemp("study"))
    _study(workspace)
    return workspace, workspace.ok(*_LOGGER, executor="local")


def test_every_job_is_recorded(study: tuple[Workspace, Done]) -> None:
    workspace, done = study
    assert "incomplete" not in done.output
    [history] = workspace.histories()
    assert f"Recording run {history.run.id[:12]}" in done.output
    assert history.run.executor == "local"
    assert history.run.job_count == 7
    assert history.run.completeness
    assert history.end is not None
    assert history.end.status == "succeeded"
    jobs = {(job.record.spec.rule, job.record.attempt): job for job in history.jobs}
    assert sorted(jobs) == [
        ("a", 1), ("b", 1), ("c", 1), ("flaky", 1), ("flaky", 2), ("s", 1), ("touched", 1),
    ]  # fmt: skip
    for job in jobs.values():
        assert (job.record.origin, job.record.tier) == (Origin.LOCAL, Tier.SNAKEMAKE)
        assert job.record.host in history.hosts
        assert str(job.record.spec.environment) in history.environments
        assert job.record.key is not None
        assert job.record.started is not None
        assert job.record.finished is not None
        assert job.record.started <= job.record.finished
        assert job.record.integrity == ()
    kinds = {rule: job.record.spec.kind for (rule, _), job in jobs.items()}
    assert (kinds["a"], kinds["c"], kinds["s"]) == ("shell", "run", "script")
    c = jobs["c", 1].record
    assert c.spec.params == (["scale", 2],)
    assert c.outputs[0].digest == _digest(b"2")
    s = jobs["s", 1].record
    assert (s.spec.code, s.spec.source_name) == (_digest(_SCRIPT.encode()), "s.py")
    assert (s.outputs[0].name, s.outputs[0].digest) == ("table", _digest(b"s"))
    b = jobs["b", 1].record
    assert b.log is not None
    assert (b.log.path, b.log.digest) == ("logs/b.log", _digest(b"done\n"))
    assert jobs["touched", 1].record.outputs[0].digest == _digest(b"")


def test_a_temporary_file_is_read_before_it_goes(study: tuple[Workspace, Done]) -> None:
    workspace, _ = study
    numbers = _digest("".join(f"{n}\n" for n in range(1, 11)).encode())
    a, b = workspace.job("a"), workspace.job("b")
    assert not (workspace.root / "out" / "a.txt").exists()
    assert (a.record.outputs[0].digest, a.removed) == (numbers, ("out/a.txt",))
    assert (b.record.spec.inputs[0].digest, b.record.spec.inputs[0].name) == (numbers, "numbers")
    assert "out/a.txt" not in results(workspace.history)


def test_a_repeated_attempt_is_two_attempts(study: tuple[Workspace, Done]) -> None:
    workspace, _ = study
    first, second = sorted(workspace.jobs("flaky"), key=lambda job: job.record.attempt)
    assert (first.state, first.record.status) == (JobState.REJECTED, JobStatus.FAILED)
    assert first.record.error is not None
    assert "returned non-zero exit status 7" in first.record.error
    assert (second.state, second.record.status) == (JobState.ACCEPTED, JobStatus.SUCCEEDED)
    assert results(workspace.history)["out/flaky.txt"][0].digest == _digest(b"ok\n")


def test_the_next_run_records_what_it_reuses(lonely: Workspace) -> None:
    _study(lonely)
    lonely.ok(*_LOGGER, executor="local")
    nothing = lonely.ok(*_LOGGER, executor="local")
    assert "Nothing to be done" in nothing.output
    assert len(lonely.histories()) == 1
    lonely.write("s.py", _SCRIPT.replace("'s'", "'new'"))
    lonely.ok(*_LOGGER, executor="local")
    origins = {job.record.spec.rule: job.record.origin for job in lonely.history.jobs}
    assert len(lonely.histories()) == 2
    assert origins["s"] is Origin.LOCAL
    assert origins["b"] is Origin.REUSED
    assert results(lonely.history)["out/s.txt"][0].digest == _digest(b"new")
    assert results(lonely.history)["out/c.txt"][0].digest == _digest(b"2")


def test_failures_of_all_kinds_are_recorded(lonely: Workspace) -> None:
    lonely.write(
        "Snakefile",
        """
        rule all:
            input: "shell", "script", "run", "missing", "fine"
        rule shell:
            output: "shell"
            shell: "exit 3"
        rule script:
            output: "script"
            script: "s.py"
        rule run:
            output: "run"
            run:
                raise ValueError("in run")
        rule missing:
            output: "missing"
            shell: "true"
        rule fine:
            output: "fine"
            shell: "touch {output}"
        """,
    )
    lonely.write("s.py", "raise ValueError('in script')\n")
    done = lonely.run(*_LOGGER, "--keep-going", executor="local")
    assert done.status != 0
    assert "incomplete" not in done.output
    jobs = {job.record.spec.rule: job for job in lonely.history.jobs}
    assert sorted(jobs) == ["fine", "missing", "run", "script", "shell"]
    for rule in ("shell", "script", "run", "missing"):
        assert (rule, jobs[rule].state) == (rule, JobState.REJECTED)
        assert jobs[rule].record.status is JobStatus.FAILED
        assert jobs[rule].record.outputs == ()
    assert jobs["fine"].state is JobState.ACCEPTED
    assert lonely.history.end is not None
    assert lonely.history.end.status == "failed"


def test_an_interrupted_run_says_so(lonely: Workspace) -> None:
    lonely.write(
        "Snakefile",
        'rule slow:\n    output: "x"\n    shell: "touch started; sleep 60; touch {output}"\n',
    )
    process = lonely.start(*_LOGGER, executor="local")
    wait_for((lonely.root / "started").exists, what="the job's start")
    wait_for(lambda: lonely.histories() or None, what="the record's beginning")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert "incomplete" not in output, output
    [job] = lonely.history.jobs
    assert (job.state, job.record.status) == (JobState.INTERRUPTED, JobStatus.INTERRUPTED)
    assert lonely.history.end is not None
    assert lonely.history.end.status == "interrupted"


def test_a_killed_run_is_ended_by_the_next(lonely: Workspace) -> None:
    lonely.write(
        "Snakefile",
        'rule slow:\n    output: "x"\n'
        '    shell: "touch started; test -e go || sleep 60; touch x"\n',
    )
    process = lonely.start(*_LOGGER, executor="local")
    wait_for((lonely.root / "started").exists, what="the job's start")
    wait_for(lambda: lonely.histories() or None, what="the record's beginning")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert lonely.history.end is None
    lonely.write("go", "")
    lonely.ok(*_LOGGER, "--nolock", "--rerun-incomplete", executor="local")
    first, second = lonely.histories()
    assert (first.end and first.end.status) == "interrupted"
    assert (second.end and second.end.status) == "succeeded"


def test_jobs_that_record_themselves_are_in_the_same_run_once(lonely: Workspace) -> None:
    lonely.write(
        "Snakefile",
        """
        rule all:
            input: "out/a", "out/b"
        wildcard_constraints: x="[ab]"
        rule train:
            output: temp("out/{x}.tmp")
            params: fail=lambda wildcards: wildcards.x == "b"
            retries: 1
            script: "train.py"
        rule copy:
            input: "out/{x}.tmp"
            output: "out/{x}"
            shell: "cp {input} {output}"
        """,
    )
    lonely.write(
        "train.py",
        """
        import os
        from snakemake_repro import track
        with track(snakemake, seed=1) as run:
            run.log_metric("auc", 0.9)
            if snakemake.params.fail and not os.path.exists("once"):
                open("once", "w").close()
                raise ValueError("the first time")
            with open(snakemake.output[0], "w") as file:
                file.write("model")
        """,
    )
    lonely.ok(*_LOGGER, executor="local")
    [history] = lonely.histories()
    assert history.run.job_count == 5
    assert len(history.jobs) == 5
    states = {
        (job.record.spec.wildcards["x"], job.record.status): job for job in lonely.jobs("train")
    }
    good, bad = states["a", JobStatus.SUCCEEDED], states["b", JobStatus.FAILED]
    assert good.state is JobState.ACCEPTED
    assert good.removed == ("out/a.tmp",)
    assert (bad.state, bad.record.error) == (JobState.REJECTED, "ValueError: the first time")
    assert states["b", JobStatus.SUCCEEDED].state is JobState.ACCEPTED
    assert all([m.name for m in job.record.metrics] == ["auc"] for job in states.values())
    copied = lonely.jobs("copy")
    assert all(job.record.spec.inputs[0].digest == _digest(b"model") for job in copied)


def test_checkpoints_pipes_and_quiet_runs_are_recorded(lonely: Workspace) -> None:
    lonely.write(
        "Snakefile",
        """
        rule all:
            input: "all.txt", "piped.txt"
        checkpoint split:
            output: directory("parts")
            shell: "mkdir {output}; touch {output}/1 {output}/2"
        def parts(wildcards):
            root = checkpoints.split.get().output[0]
            return expand("done/{n}", n=glob_wildcards(root + "/{n,[0-9]}").n)
        rule part:
            input: "parts/{n}"
            output: "done/{n}"
            shell: "cp {input} {output}"
        rule gather:
            input: parts
            output: "all.txt"
            shell: "cat {input} > {output}"
        rule source:
            output: pipe("pipe")
            shell: "echo text > {output}"
        rule sink:
            input: "pipe"
            output: "piped.txt"
            shell: "cat {input} > {output}"
        """,
    )
    done = lonely.ok(*_LOGGER, "--quiet", "all", executor="local")
    assert "incomplete" not in done.output
    rules = sorted(job.record.spec.rule for job in lonely.history.jobs)
    assert rules == ["gather", "part", "part", "sink", "source", "split"]
    assert all(job.state is JobState.ACCEPTED for job in lonely.history.jobs)
    assert lonely.job("split").record.outputs[0].kind is FileKind.DIRECTORY
    assert lonely.job("sink").record.outputs[0].digest == _digest(b"text\n")
    assert lonely.job("source").record.outputs[0].kind is FileKind.PIPE
    assert lonely.job("sink").record.spec.inputs[0].kind is FileKind.PIPE
    assert all(job.record.origin is Origin.LOCAL for job in lonely.history.jobs)
    assert all(job.record.integrity == () for job in lonely.history.jobs)


@pytest.mark.parametrize("option", ["--dry-run", "--touch", "--unlock", "--summary"])
def test_where_nothing_runs_nothing_is_recorded(lonely: Workspace, option: str) -> None:
    _study(lonely)
    lonely.run(*_LOGGER, option, executor="local")
    assert JournalStore(lonely.root).run_ids() == []
    assert not list((lonely.root / ".repro").glob("parents/*.json"))


def test_a_record_that_cannot_be_written_is_one_warning(lonely: Workspace) -> None:
    _study(lonely)
    lonely.write(".repro", "in the way")
    done = lonely.ok(*_LOGGER, executor="local")
    assert done.output.count("The record of this run (--logger repro) is incomplete") == 1
    assert "cannot write" in done.output
    assert "Traceback" not in done.output


def test_secrets_do_not_reach_the_record(lonely: Workspace) -> None:
    lonely.write(
        "Snakefile",
        """
        import os
        envvars: "LAB_ACCESS"
        rule all:
            output: "x"
            params: access=os.environ["LAB_ACCESS"], token=config["token"]
            shell: "echo {params.access} {params.token} > {output}; exit 1"
        """,
    )
    subprocess.run(["git", "init", "--quiet"], cwd=lonely.root, check=True)
    other = "swordfish-swordfish"
    lonely.run(
        *_LOGGER, "--config", f"token={_SECRET}", executor="local",
        env={"API_TOKEN": _SECRET, "LAB_ACCESS": other},
    )  # fmt: skip
    record = lonely.job("all").record
    assert record.spec.command is not None
    assert "echo <redacted LAB_ACCESS> <redacted API_TOKEN>" in record.spec.command
    files = [path for path in (lonely.root / ".repro").rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        assert _SECRET.encode() not in content, path
        assert other.encode() not in content, path


def test_under_the_executor_it_steps_aside(workspace: Workspace) -> None:
    workspace.write("Snakefile", 'rule x:\n    output: "x"\n    shell: "echo x > {output}"\n')
    workspace.ok(*_LOGGER, executor="ray")
    [history] = workspace.histories()
    assert history.run.executor == "ray"
    assert len(history.jobs) == 1
    assert not list(Path(workspace.root, ".repro", "parents").glob("*.json"))
