"""Whatever is killed: nothing finished is lost, nothing is left behind, the next run continues."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import RunningCluster
from processes import command, descendants, kill, wait_for, with_environment
from runs import Workspace

from snakemake_repro.records import JobState, JobStatus

pytestmark = pytest.mark.integration

SLOW = """
rule all:
    input: expand("out/{i}.txt", i=range(8))
rule slow:
    output: "out/{i}.txt"
    shell: "echo started >> log.{wildcards.i}; sleep 1; echo {wildcards.i} > {output}"
"""


@pytest.fixture
def mark() -> str:
    """A variable that every process of one run inherits."""
    return f"REPRO_TEST_MARK={uuid.uuid4().hex}"


@pytest.fixture
def slow(lonely: Workspace, mark: str) -> Iterator[Workspace]:
    name, _, value = mark.partition("=")
    lonely.write("Snakefile", SLOW)
    lonely.environ[name] = value
    yield lonely
    for pid in with_environment(mark):
        os.kill(pid, signal.SIGKILL)


def _some_done(workspace: Workspace, count: int = 2) -> bool:
    return len(list(workspace.root.glob("out/*.txt"))) >= count


def _finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=180)
    return output


def _complete(workspace: Workspace) -> None:
    texts = [(workspace.root / f"out/{i}.txt").read_text() for i in range(8)]
    assert texts == [f"{i}\n" for i in range(8)]


def _gateway(process: subprocess.Popen[str]) -> int:
    [pid] = descendants(process.pid, "snakemake_repro.gateway")
    return pid


def test_a_run_whose_output_nobody_reads_ends_when_its_job_fails(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule a:
            output: "a.txt"
            shell: "touch begun; while [ ! -e go ]; do sleep 0.1; done; exit 3"
        """,
    )
    process = workspace.start()
    assert process.stdout is not None
    wait_for((workspace.root / "begun").exists, timeout=90)
    process.stdout.close()
    (workspace.root / "go").touch()
    assert process.wait(60) != 0
    [job] = workspace.history.jobs
    assert job.record.exit_code == 3
    assert workspace.history.end is not None
    assert workspace.history.end.status != "succeeded"


def test_the_user_sees_why_a_group_failed(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "b.txt"
        rule a:
            output: "a.txt"
            group: "mine"
            shell: "touch {output}"
        rule b:
            input: "a.txt"
            output: "b.txt"
            group: "mine"
            shell: "echo the reason of b >&2; exit 3"
        """,
    )
    done = workspace.fails()
    found = re.search(
        r"Group mine \(log: (\S+)\):\n.*Last lines of its log:\n", done.output, re.DOTALL
    )
    assert found, done.output
    assert (workspace.root / found.group(1)).is_file()
    shown = done.output[found.end() :]
    assert "the reason of b" in shown
    assert "Error in rule b" in shown


def test_a_killed_gateway_is_replaced_and_the_run_ends_well(slow: Workspace) -> None:
    process = slow.start()
    wait_for(lambda: _some_done(slow), what="two jobs")
    kill(_gateway(process))
    output = _finish(process)
    assert process.returncode == 0, output
    _complete(slow)
    lost = [job for job in slow.history.jobs if job.record.status is JobStatus.LOST]
    accepted = [job for job in slow.history.jobs if job.state is JobState.ACCEPTED]
    assert lost
    assert len(accepted) == 8
    assert {job.record.attempt for job in accepted} == {1}, "a loss costs no attempt"
    assert any(job.record.resubmission for job in accepted)


@pytest.mark.parametrize("head", ["gcs_server", "raylet"])
def test_a_killed_head_is_replaced_and_the_run_ends_well(slow: Workspace, head: str) -> None:
    process = slow.start()
    wait_for(lambda: _some_done(slow), what="two jobs")
    [pid] = [p for p in descendants(process.pid, head) if _name(p) == head]
    kill(pid)
    output = _finish(process)
    assert process.returncode == 0, output
    _complete(slow)


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_a_killed_worker_costs_no_attempt(slow: Workspace) -> None:
    # the jobs wait for the kill: one that ends by itself could end just before it
    slow.write("Snakefile", SLOW.replace("sleep 1;", "until [ -e go ]; do sleep 0.1; done;"))
    process = slow.start()
    wait_for(lambda: len(list(slow.root.glob("log.*"))) == 2, what="two jobs")
    workers = descendants(process.pid, "ray::execute")
    assert len(workers) == 2
    kill(workers[0])
    (slow.root / "go").touch()
    output = _finish(process)
    assert process.returncode == 0, output
    _complete(slow)
    lost = [job for job in slow.history.jobs if job.record.status is JobStatus.LOST]
    assert len(lost) == 1
    assert lost[0].record.error


def test_a_lost_shadow_job_gets_a_fresh_directory(lonely: Workspace) -> None:
    lonely.write(
        "Snakefile",
        """
        rule a:
            output: "out/a.txt"
            shadow: "minimal"
            shell:
                "ls > {output}; touch left-behind; flag=../../../lost;"
                "[ -e $flag ] || {{ touch $flag; sleep 100; }}"
        """,
    )
    process = lonely.start()
    wait_for((lonely.root / "lost").exists, what="the job")
    [worker] = descendants(process.pid, "ray::execute")
    kill(worker)
    output = _finish(process)
    assert process.returncode == 0, output
    assert (lonely.root / "out/a.txt").read_text() == "out\n"
    assert not list((lonely.root / ".snakemake/shadow").iterdir())
    assert [job.record.status for job in lonely.jobs("a")] == [
        JobStatus.LOST,
        JobStatus.SUCCEEDED,
    ]


def test_a_worker_that_always_dies_ends_in_one_clear_message(lonely: Workspace) -> None:
    lonely.write(
        "Snakefile",
        "rule a:\n    output: 'a.txt'\n    shell: 'kill -9 $PPID; sleep 100'\n",
    )
    done = lonely.fails("--ray-resubmissions", "1")
    assert "its worker was lost 2 times" in done.output
    assert [job.record.status for job in lonely.jobs("a")] == [JobStatus.LOST, JobStatus.LOST]


@pytest.mark.parametrize(
    "signum",
    [signal.SIGINT, signal.SIGTERM, signal.SIGKILL],
    ids=["ctrl-c", "sigterm", "sigkill"],
)
def test_after_the_driver_ends_nothing_of_ours_runs_and_the_next_run_continues(
    slow: Workspace, mark: str, signum: int
) -> None:
    process = slow.start()
    wait_for(lambda: _some_done(slow), what="two jobs")
    done = {path.name for path in slow.root.glob("out/*.txt")}
    started = time.monotonic()
    kill(process.pid, signum)
    _finish(process)
    assert process.returncode != 0

    def ours() -> bool:
        alive = [p for p in with_environment(mark) if "recorder" not in command(p)]
        return not alive

    wait_for(
        ours, timeout=max(0.1, 10 - (time.monotonic() - started)), what="the end of every process"
    )
    accepted = {
        job.record.outputs[0].path for job in slow.history.jobs if job.state is JobState.ACCEPTED
    }
    assert accepted <= {f"out/{i}.txt" for i in range(8)}
    logs = {path.name: path.read_text().count("started") for path in slow.root.glob("log.*")}
    if signum == signal.SIGKILL:
        # nobody wrote the end, or the recorder, which found the driver gone
        assert slow.history.end is None or slow.history.end.status == "interrupted"
        slow.ok("--unlock")
    else:
        assert slow.history.end is not None
        assert slow.history.end.status == "interrupted"
        interrupted = [job for job in slow.history.jobs if job.state is JobState.INTERRUPTED]
        assert interrupted
    slow.ok("--rerun-incomplete")
    _complete(slow)
    for name in done:
        stem = name.removesuffix(".txt")
        if f"out/{name}" in accepted:
            again = (slow.root / f"log.{stem}").read_text().count("started")
            assert again == logs[f"log.{stem}"], f"{name} was finished and ran again"


def test_a_job_that_ignores_sigterm_and_daemonises_is_gone_after_ctrl_c(
    lonely: Workspace, mark: str
) -> None:
    name, _, value = mark.partition("=")
    lonely.environ[name] = value
    lonely.write(
        "Snakefile",
        """
        rule stubborn:
            output: "a.txt"
            shell: "trap '' TERM INT HUP; (setsid sleep 1000 &) ; touch started; sleep 1000"
        """,
    )
    process = lonely.start()
    wait_for((lonely.root / "started").exists, what="the job")
    kill(process.pid, signal.SIGINT)
    _finish(process)
    wait_for(
        lambda: not [p for p in with_environment(mark) if "recorder" not in command(p)],
        timeout=5,
        what="the end of the job",
    )
    assert not (lonely.root / "a.txt").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_no_process_of_any_tier_and_no_lock_is_left_after_five_seconds(
    lonely: Workspace, mark: str, signum: int
) -> None:
    name, _, value = mark.partition("=")
    lonely.environ[name] = value
    lonely.write("script.sh", "touch started.script; (setsid sleep 1000 &); sleep 1000\n")
    lonely.write(
        "Snakefile",
        """
        rule all:
            input: "shell.txt", "run.txt", "script.txt", "grouped.txt"
        rule shell:
            output: "shell.txt"
            shell: "touch started.shell {output}; (setsid sleep 1000 &); sleep 1000"
        rule run:
            output: "run.txt"
            run: shell("touch started.run {output}; (setsid sleep 1000 &); sleep 1000")
        rule script:
            output: "script.txt"
            script: "script.sh"
        rule grouped:
            output: "grouped.txt"
            group: "g"
            shell: "touch started.group {output}; (setsid sleep 1000 &); sleep 1000"
        """,
    )
    process = lonely.start("--ray-cpus", "4")
    try:
        wait_for(
            lambda: len(list(lonely.root.glob("started.*"))) == 4, timeout=180, what="four jobs"
        )
    finally:
        kill(process.pid, signum)
    wait_for(
        lambda: not [p for p in with_environment(mark) if "sleep" in command(p)],
        timeout=5,
        what="the end of the jobs",
    )
    _finish(process)
    assert process.returncode != 0
    wait_for(
        lambda: not [p for p in with_environment(mark) if "recorder" not in command(p)],
        timeout=5,
        what="the end of the rest",
    )
    assert not list((lonely.root / ".snakemake" / "locks").glob("*"))
    states = {job.record.spec.rule: job.state for job in lonely.history.jobs}
    assert set(states.values()) == {JobState.INTERRUPTED}
    again = lonely.ok("--dry-run", "--rerun-incomplete").output
    assert all(f"rule {rule}:" in again for rule in ("shell", "run", "script", "grouped"))


def test_an_address_without_a_cluster_is_one_clear_error(lonely: Workspace) -> None:
    lonely.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'touch {output}'\n")
    done = lonely.fails("--ray-address", "127.0.0.1:1")
    assert "cannot reach a Ray cluster at 127.0.0.1:1" in done.output
    assert "--ray-address" in done.output
    assert not (lonely.root / ".repro").exists()


def test_a_wrong_token_is_one_clear_error(lonely: Workspace, cluster: RunningCluster) -> None:
    lonely.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'touch {output}'\n")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    done = lonely.run("--ray-address", cluster.address, env=token)
    assert done.status != 0
    assert "token" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ray-tier", "sideways"], "sideways"),
        (["--ray-mlflow-runs", "many"], "many"),
        (["--ray-environments", "cloud"], "cloud"),
        (["--ray-resubmissions", "-1"], "expected 0 or more"),
        (["--ray-cpus", "0"], "expected 1 or more"),
        (["--ray-delivery-wait", "-1"], "expected 0 or more seconds"),
        (["--ray-address", "ray://host:10001"], "Ray Client addresses are not supported"),
        (["--sdm", "conda"], "the executor realises environments itself"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_setting_that_cannot_be_meant_is_refused(
    lonely: Workspace, flags: list[str], message: str
) -> None:
    lonely.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'touch {output}'\n")
    done = lonely.fails(*flags)
    assert message in done.output
    assert not (lonely.root / "a.txt").exists()


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("container: 'debian.sif'", "the container 'debian.sif' is no image of a registry"),
        ("conda: 'env.yaml'", "repro lock"),
        ("conda: 'named'", "only environment files beside the workflow can be locked"),
    ],
    ids=["container", "unlocked", "named"],
)
def test_an_environment_that_cannot_be_given_is_refused_before_any_job(
    workspace: Workspace, directive: str, message: str
) -> None:
    workspace.write("env.yaml", "dependencies:\n  - python\n  - pip\n  - pip:\n      - six\n")
    workspace.write(
        "Snakefile",
        f"""
        rule all:
            input: "a.txt", "b.txt"
        rule a:
            output: "a.txt"
            shell: "touch {{output}}"
        rule b:
            output: "b.txt"
            {directive}
            shell: "touch {{output}}"
        """,
    )
    done = workspace.fails("--ray-locks", "frozen")
    assert message in done.output
    assert "Hint:" in done.output
    assert not (workspace.root / "a.txt").exists()
    assert not (workspace.root / "env.requirements.lock").exists()
    if "named" not in directive:  # Snakemake asks conda for its content, with any executor
        workspace.ok("--ray-environments", "host")


def test_a_memory_that_no_node_has_is_refused(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        "rule a:\n    output: 'a.txt'\n    resources: mem_mb=10_000_000\n    shell: 'touch {output}'\n",
    )
    done = workspace.fails()
    assert "rule a asks for 10000000 MB of memory" in done.output


def test_a_job_killed_by_a_signal_says_which(workspace: Workspace) -> None:
    workspace.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'kill -9 $$'\n")
    assert "killed by signal 9 (SIGKILL)" in workspace.fails().output


def test_a_record_that_cannot_be_written_stops_the_run_before_any_job(workspace: Workspace) -> None:
    workspace.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'touch {output}'\n")
    workspace.write(".repro", "in the way")
    done = workspace.fails()
    assert "cannot write the record" in done.output
    assert not (workspace.root / "a.txt").exists()
