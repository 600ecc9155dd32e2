"""Wrappers record themselves under Snakemake's own executor, and scripts without Snakemake."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import wait_for
from runs import Workspace

from snakemake_repro.backends.mlflow_store import MlflowStore
from snakemake_repro.logic.canonical import job_key
from snakemake_repro.logic.history import JobHistory
from snakemake_repro.operations.abandoned import end_abandoned_runs
from snakemake_repro.operations.sync import pending
from snakemake_repro.records import Digest, FileKind, JobState, JobStatus, Origin, Tier

pytestmark = pytest.mark.integration

_SECRET = "hunter2-hunter2"
_ON_HOST = ("--ray-environments", "host")
_SNAKEFILE = """
    rule all:
        input: "out/a.json", "out/b.json"
    rule data:
        output: "out/data.txt"
        shell: "seq 1000 > {output}"
    rule train:
        input: data="out/data.txt"
        output: metrics="out/{model}.json"
        params: seed=3, rate=0.1
        threads: 1
        resources: mem_mb=100
        wrapper: "file://WORK/wrapper"
    """
_WRAPPER = """
    import json, random
    from snakemake_repro import track

    with track(snakemake, seed=snakemake.params.seed) as run:
        for step in range(3):
            run.log_metric("loss", 1 / (step + 1), step=step)
        run.log_param("kernel", "rbf")
        run.set_tag("family", "svm")
        with open(snakemake.output.metrics, "w") as file:
            json.dump({"auc": random.random()}, file)
    """


def _study(workspace: Workspace, snakefile: str = _SNAKEFILE, wrapper: str = _WRAPPER) -> str:
    """Write a workflow with a wrapper, commit it, and return the commit."""
    workspace.write("Snakefile", snakefile.replace("WORK", str(workspace.root)))
    workspace.write("wrapper/wrapper.py", wrapper)
    workspace.write("wrapper/environment.yaml", "dependencies: []\n")
    git = [
        "git",
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.org",
        "-c",
        "init.defaultBranch=main",
    ]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "study"]):
        subprocess.run([*git, *command], cwd=workspace.root, check=True)
    head = ["git", "rev-parse", "HEAD"]
    return subprocess.run(
        head, cwd=workspace.root, check=True, capture_output=True, text=True
    ).stdout.strip()


def _digest(path: Path) -> Digest:
    return Digest(hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A workflow that ran once, and its commit; only to be looked at."""
    workspace = Workspace(tmp_path_factory.mktemp("study"))
    commit = _study(workspace)
    done = workspace.ok(executor="local")
    assert "RuntimeWarning" not in done.output
    return workspace, commit


def test_a_wrapper_records_digests_commit_and_metrics(study: tuple[Workspace, str]) -> None:
    workspace, commit = study
    [history] = workspace.histories()
    run = history.run
    assert (run.executor, run.snakefile) == ("local", "Snakefile")
    assert run.name == workspace.root.name
    assert run.command[1:3] == ("-m", "snakemake")
    [source] = run.sources
    assert source.git is not None
    assert (source.git.commit, source.git.dirty) == (commit, False)
    assert run.host in history.hosts
    assert {job.record.spec.rule for job in history.jobs} == {"train"}
    job = next(j for j in history.jobs if j.record.spec.wildcards == {"model": "a"})
    record = job.record
    assert job.state is JobState.RAN
    assert (record.status, record.origin, record.tier) == (
        JobStatus.SUCCEEDED, Origin.LOCAL, Tier.SNAKEMAKE,
    )  # fmt: skip
    [data], [out] = record.spec.inputs, record.outputs
    assert (data.path, data.name, data.digest) == (
        "out/data.txt", "data", _digest(workspace.root / "out/data.txt"),
    )  # fmt: skip
    assert (out.path, out.name, out.digest) == (
        "out/a.json", "metrics", _digest(workspace.root / "out/a.json"),
    )  # fmt: skip
    assert record.spec.kind == "wrapper"
    assert record.spec.code == _digest(workspace.root / "wrapper/wrapper.py")
    assert record.spec.params == (["seed", 3], ["rate", 0.1])
    assert str(record.spec.environment) in history.environments
    assert record.key is not None
    assert [(m.name, m.step) for m in record.metrics] == [("loss", 0), ("loss", 1), ("loss", 2)]
    assert record.params_reported == {"kernel": "rbf"}
    assert record.tags == {"family": "svm"}
    assert (record.seeds["random"], record.seeds["numpy"]) == (3, 3)
    assert record.resources["mem_mb"] == 100
    assert record.use is not None
    assert record.use.wall_s > 0
    assert record.integrity == ()


def test_jobs_of_one_snakemake_are_one_run_and_the_next_snakemake_is_another(
    lonely: Workspace,
) -> None:
    slow = _WRAPPER.replace("run.log_param(", "import time; time.sleep(2); run.log_param(")
    _study(lonely, wrapper=slow)
    lonely.ok(executor="local")
    [history] = lonely.histories()
    assert len(history.jobs) == 2
    times = [(job.record.started, job.record.finished) for job in history.jobs]
    assert times[1][0] < times[0][1], "they were to run at the same time"  # type: ignore[operator]
    # the recorder, or whoever comes next, ends a run whose Snakemake is gone
    lonely.ok("--forcerun", "train", executor="local")
    end_abandoned_runs(lonely.root)
    first, second = lonely.histories()
    assert first.end is not None
    assert (first.end.status, first.end.finished) == (
        "succeeded",
        max(str(finished) for _, finished in times),
    )
    assert len(second.jobs) == 2
    assert second.end is not None
    assert list((lonely.root / ".repro" / "parents").glob("*.json")) == []


def test_the_run_reaches_mlflow_by_itself(study: tuple[Workspace, str]) -> None:
    workspace, _ = study
    wait_for(lambda: not pending(workspace.root).runs, what="the delivery to MLflow")
    [local] = workspace.histories()
    store = MlflowStore(workspace.environ["MLFLOW_TRACKING_URI"])
    assert store.run_ids() == [local.run.id]
    delivered = store.load(local.run.id)
    assert delivered == local
    assert delivered.end is not None, "the recorder notices that Snakemake is gone"
    assert {m.name for job in delivered.jobs for m in job.record.metrics} == {"loss"}


def test_a_failure_in_the_block_is_recorded_and_fails_the_job(lonely: Workspace) -> None:
    broken = _WRAPPER.replace(
        "json.dump(", "raise ValueError('no such column: energy'); json.dump("
    )
    _study(lonely, wrapper=broken)
    done = lonely.run(executor="local")
    assert done.status != 0
    assert "RuntimeWarning" not in done.output
    assert "ValueError: no such column: energy" in done.output
    job = lonely.jobs("train")[0].record
    assert (job.status, job.error) == (JobStatus.FAILED, "ValueError: no such column: energy")
    assert len(job.metrics) == 3
    end_abandoned_runs(lonely.root)
    assert lonely.history.end is not None
    assert lonely.history.end.status == "failed"


def test_an_output_that_is_written_later_is_noted(lonely: Workspace) -> None:
    late = """
        from snakemake_repro import track
        with track(snakemake):
            pass
        open(snakemake.output.metrics, "w").close()
        """
    _study(lonely, wrapper=late)
    lonely.ok(executor="local")
    record = lonely.jobs("train")[0].record
    assert record.outputs[0].kind is FileKind.MISSING
    assert "was not there yet when the recorded block ended" in record.integrity[0]


def test_an_input_that_changes_meanwhile_is_noted(lonely: Workspace) -> None:
    _study(lonely, wrapper=_WRAPPER + "    open(snakemake.input.data, 'a').write('more')\n")
    lonely.ok(executor="local")
    notes = [note for job in lonely.jobs("train") for note in job.record.integrity]
    assert "input out/data.txt changed while the job ran" in notes


def test_a_shadow_rule_is_recorded_where_the_run_is(lonely: Workspace) -> None:
    shadow = _SNAKEFILE.replace("threads: 1", 'shadow: "minimal"')
    _study(lonely, snakefile=shadow)
    lonely.ok(executor="local")
    record = lonely.jobs("train")[0].record
    assert record.spec.inputs[0].path == "out/data.txt"
    assert record.outputs[0].digest == _digest(lonely.root / record.outputs[0].path)


def test_blocks_within_blocks_and_processes_below_report_to_the_same_job(
    lonely: Workspace,
) -> None:
    nested = """
        import subprocess, sys
        from snakemake_repro import track
        with track(snakemake) as outer:
            outer.log_metric("outer", 1)
            with track(snakemake) as inner:
                inner.log_metric("inner", 2)
            child = "from snakemake_repro import track\\nwith track() as r: r.log_metric('sub', 3)"
            subprocess.run([sys.executable, "-c", child], check=True)
            line = "echo '{\\"shell\\": 4}' >> $REPRO_METRICS"
            subprocess.run(["sh", "-c", line], check=True)
            open(snakemake.output.metrics, "w").close()
        import os
        assert "REPRO_JOB" not in os.environ
        """
    _study(lonely, wrapper=nested)
    lonely.ok(executor="local")
    assert len(lonely.jobs("train")) == 2
    metrics = lonely.jobs("train")[0].record.metrics
    assert {m.name: m.value for m in metrics} == {"outer": 1, "inner": 2, "sub": 3, "shell": 4}


def test_secrets_do_not_reach_the_record(lonely: Workspace) -> None:
    leaky = _SNAKEFILE.replace(
        "params: seed=3, rate=0.1",
        "params: seed=3, token=config['token'], odd=os.environ['LAB_ACCESS']",
    ).replace("    rule all:", '    import os\n    envvars: "LAB_ACCESS"\n    rule all:', 1)
    wrapper = _WRAPPER.replace(
        "run.set_tag(",
        "run.log_param('token', snakemake.params.token); run.set_tag('odd', snakemake.params.odd)\n"
        "        run.set_tag(",
    )
    _study(lonely, snakefile=leaky, wrapper=wrapper)
    snakefile = lonely.root / "Snakefile"
    snakefile.write_text(snakefile.read_text() + f"# {_SECRET}\n")  # now the diff holds it
    other = "swordfish-swordfish"
    lonely.ok(
        "--config", f"token={_SECRET}", executor="local",
        env={"API_TOKEN": _SECRET, "LAB_ACCESS": other},
    )  # fmt: skip
    record = lonely.jobs("train")[0].record
    assert record.params_reported["token"] == "<redacted API_TOKEN>"
    assert record.tags["odd"] == "<redacted LAB_ACCESS>"
    assert "# <redacted API_TOKEN>" in str(lonely.history.run.sources[0].git)
    files = [path for path in (lonely.root / ".repro").rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert _SECRET.encode() not in content, path
        assert other.encode() not in content, path


def test_a_record_that_cannot_be_written_does_not_stop_the_job(lonely: Workspace) -> None:
    _study(lonely)
    lonely.write(".repro", "in the way")
    done = lonely.ok(executor="local")
    assert "RuntimeWarning: snakemake-repro: nothing is recorded: cannot write" in done.output
    assert (lonely.root / "out" / "a.json").exists()


def test_a_script_outside_of_snakemake_is_a_run_of_its_own(lonely: Workspace) -> None:
    commit = _study(lonely)
    script = lonely.write(
        "fit.py",
        """
        import sys
        from snakemake_repro import track
        with track(seed=1) as run:
            run.log_metric("auc", 0.9)
            if len(sys.argv) > 1:
                sys.exit(int(sys.argv[1]))
        """,
    )
    for argument in ([], ["0"], ["3"]):
        subprocess.run(
            [sys.executable, str(script), *argument],
            cwd=lonely.root,
            env=lonely.environ,
            check=False,
        )
    histories = lonely.histories()
    ends = [history.end and history.end.status for history in histories]
    assert ends == ["succeeded", "succeeded", "failed"]
    assert histories[2].jobs[0].record.error == "the script exited with status 3"
    [job] = histories[0].jobs
    assert (job.record.spec.rule, job.record.spec.kind) == ("fit", "script")
    assert job.record.spec.code == _digest(script)
    assert [(m.name, m.value) for m in job.record.metrics] == [("auc", 0.9)]
    [source] = histories[0].run.sources
    assert source.uri == "fit.py"
    assert source.git is not None
    assert (source.git.commit, source.git.untracked) == (commit, ("fit.py",))


def test_a_script_in_a_shell_rule_belongs_to_the_run(lonely: Workspace) -> None:
    snakefile = _SNAKEFILE.replace(
        "shell:", f'shell: "cd wrapper && {sys.executable} plain.py && cd .. && "\n        '
    )
    lonely.write(
        "wrapper/plain.py",
        "from snakemake_repro import track\nwith track() as run: run.log_metric('x', 1)\n",
    )
    _study(lonely, snakefile=snakefile)
    lonely.ok(executor="local")
    [history] = lonely.histories()
    assert sorted(job.record.spec.rule for job in history.jobs) == ["plain", "train", "train"]
    assert not (lonely.root / "wrapper" / ".repro").exists()


def test_a_job_is_specified_as_the_executor_would(workspace: Workspace) -> None:
    def specs() -> dict[str, Digest]:
        """Return keys by job; of the environment each tier may see another part."""
        found = [dataclasses.replace(j.record.spec, environment=None) for j in jobs()]
        return {str(spec.wildcards): job_key(spec) for spec in found}

    def jobs() -> list[JobHistory]:
        return workspace.jobs("train")

    _study(workspace)
    workspace.ok(executor="local")
    alone = specs()
    workspace.ok("--forceall", *_ON_HOST, executor="ray")
    assert specs() == alone
    assert len(alone) == 2


def test_a_job_of_the_executor_does_not_record_itself(workspace: Workspace) -> None:
    _study(workspace)
    workspace.ok(*_ON_HOST, executor="ray")
    [history] = workspace.histories()
    [job, _] = (j.record for j in history.jobs if j.record.spec.rule == "train")
    assert [(m.name, m.step) for m in job.metrics] == [("loss", 0), ("loss", 1), ("loss", 2)]
    assert job.seeds["numpy"] == 3
    names = [path.name for path in (workspace.root / ".repro" / "journal").rglob("*.jsonl")]
    assert not [name for name in names if name.startswith("wrapper")]


def test_the_tests_run_outside_of_a_job() -> None:
    assert "REPRO_JOB" not in os.environ
