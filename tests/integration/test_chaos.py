"""Whatever is killed in whatever phase of 200 jobs, the results and the record are the same."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import chaos
import pytest
from chaos import Scene, attempts, drawn, standing
from clusters import RunningCluster, another_node, ray_cluster
from mlflow_view import View
from processes import command, descendants, kill, polled, stopped, wait_for, with_environment
from runs import Workspace

from snakemake_repro.backends.files import hash_file
from snakemake_repro.operations.sync import pending
from snakemake_repro.records import JobRecord, JobState, JobStatus

pytestmark = pytest.mark.integration

KILLS = 20

SUBMISSIONS = 4
"""How often a run is struck that sends its jobs: it does so within a moment."""

CPUS = 4
"""Logical ones: jobs mostly wait."""

PAUSE_S = 0.02
"""Looking takes a core, and stops for a moment what it looks at: the run must come on as well."""

PATIENCE_S = 300.0


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A variable that every process of a run, and of a cluster made for it, inherits."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("REPRO_TEST_MARK", value)
    text = f"REPRO_TEST_MARK={value}"
    yield text
    for pid in with_environment(text):
        kill(pid)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, cluster: RunningCluster, tracking_uri: str
) -> dict[str, tuple[str, str]]:
    """What a run leaves in which nothing is killed."""
    root = tmp_path_factory.mktemp("undisturbed")
    workspace = Workspace(root, cluster, tracking_uri)
    Scene(workspace, "")
    workspace.ok()
    found = standing(workspace.histories())
    assert len(found) == chaos.JOBS
    return found


def _check(workspace: Workspace, scene: Scene, expected: dict[str, tuple[str, str]]) -> None:
    """Compare what is there with an undisturbed run, and look for what should not be there."""
    histories = workspace.histories()
    assert standing(histories) == expected, (
        "each result has its record, with the same digest and key"
    )
    done = subprocess.run(
        [sys.executable, "-m", "snakemake_repro.cli", "verify", "--all"],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = attempts(histories)
    for (name, what), count in scene.trail.items():
        if what == "begun":
            assert lines[name] >= count, f"an attempt at {name} has no line"
    records = [job.record for history in histories for job in history.jobs]
    assert {record.attempt for record in records} == {1}, "a loss costs no attempt"
    assert JobStatus.FAILED not in {record.status for record in records}
    assert not list((workspace.root / ".snakemake").glob("locks/*"))
    assert not list((workspace.root / ".repro").glob("arriving/*"))
    wait_for(lambda: not scene.jobs_left, timeout=15, what="the end of every job")
    wait_for(lambda: not scene.left, timeout=15, what="the end of everything else")


def test_results_and_record_survive_the_death_of_every_part_that_a_run_starts(
    lonely: Workspace, mark: str, tmp_path: Path, undisturbed: dict[str, tuple[str, str]]
) -> None:
    moments = drawn()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    lonely.environ.update({"REPRO_TEST_MARK": mark.partition("=")[2], "MLFLOW_TRACKING_URI": uri})
    del lonely.environ["REPRO_DELIVERY"]
    scene = Scene(lonely, mark)
    unheard = []

    def journal() -> bool:
        record = scene.journal(lambda: scene.gateway, wait_for)
        unheard.extend([record] if record else [])
        return record is not None

    def head() -> bool:
        name = moments.choice(["gcs_server", "raylet"])
        found = [p for p in descendants(scene.driver, name) if _name(p) == name]
        if found:
            kill(found[0])
        return bool(found)

    strikes: list[tuple[int, str, Callable[[], bool]]] = [
        (0, "submit", lambda: scene.submit(lambda: scene.gateway)),
        (moments.randrange(1, 60), "run", lambda: scene.run(lambda worker: worker)),
        (moments.randrange(1, 60), "hash", lambda: scene.hash(lambda worker: worker)),
        (moments.randrange(1, 120), "journal", journal),
        (moments.randrange(1, 120), "head", head),
        (0, "deliver", scene.deliver),
    ]
    process = lonely.start("--ray-cpus", str(CPUS), "--jobs", str(chaos.JOBS))
    scene.watch(process.pid)

    def strike() -> bool:
        for one in strikes[:]:
            after, _, look = one
            if scene.done >= after and look():
                strikes.remove(one)
        time.sleep(PAUSE_S)
        return not strikes or process.poll() is not None

    over = any(polled(strike, seconds=PATIENCE_S))
    if not over:
        process.kill()
    output, _ = process.communicate(timeout=120)
    assert over, f"still running after {PATIENCE_S} s, not struck: {strikes}\n{output}"
    assert process.returncode == 0, output
    if "deliver" in [name for _, name, _ in strikes]:
        wait_for(scene.deliver, what="delivery")
        strikes.pop()
    assert [name for _, name, _ in strikes] == [], "every phase was struck"
    _check(lonely, scene, undisturbed)
    lost = [job.record for job in lonely.history.jobs if job.record.status is JobStatus.LOST]
    trail = scene.trail
    sent = [r for r in lost if r.resubmission == 0 and "gateway" in str(r.error)]
    assert sent, "submit"
    assert any(trail[_trail(r), "begun"] > trail[_trail(r), "ended"] for r in lost), "run"
    assert any(r.spec.rule == "big" and trail[_trail(r), "ended"] > 1 for r in lost), "hash"
    [record] = unheard[:1]
    [job] = [
        job
        for job in lonely.history.jobs
        if _trail(job.record) == _trail(record) and job.record.status is JobStatus.SUCCEEDED
    ]
    assert job.record.id == record.id, "what a worker had written is not repeated"
    assert job.state is JobState.ACCEPTED
    sync = [sys.executable, "-m", "snakemake_repro.cli", "sync"]
    subprocess.run(sync, cwd=lonely.root, env=lonely.environ, check=True, capture_output=True)
    assert pending(lonely.root).runs == 0
    shown = View(uri).shown(lonely.history.run.id)
    assert shown.attempts == sorted(job.record.id for job in lonely.history.jobs)


def test_a_run_continues_after_its_driver_was_killed_in_every_phase_and_a_node_was_lost(
    tmp_path: Path, mark: str, tracking_uri: str, undisturbed: dict[str, tuple[str, str]]
) -> None:
    moments = drawn()
    root = tmp_path / "work"
    root.mkdir()
    log = tmp_path / "cluster.log"
    with ray_cluster(2, log) as cluster, another_node(cluster, cpus=2, log=log) as second:
        workspace = Workspace(root, cluster, tracking_uri)
        scene = Scene(workspace, mark, cluster=os.getpid())
        phases = ["run", "hash", "journal"]
        moments.shuffle(phases)
        phases += ["submit"] * SUBMISSIONS
        halves = 0
        while phases:
            phase = phases.pop()
            accepted = _accepted(workspace)
            trail = scene.trail
            width = ["--jobs", str(chaos.JOBS)] if phase == "submit" else []
            process = workspace.start("--rerun-incomplete", *width)
            scene.watch(process.pid)
            struck, output = _struck(scene, phase, process, moments.uniform(0, 0.3))
            assert struck, f"{phase} was not seen:\n{output}"
            workspace.ok("--unlock")
            if phase == "submit":
                halves += 0 < len(workspace.history.jobs) < chaos.FIRST
            again = {name for (name, what), n in scene.trail.items() if n > trail[name, what]}
            assert not again & accepted, "what was accepted does not run again"
        assert halves, "no submission was struck when some jobs had been sent, and not all"
        process = workspace.start("--rerun-incomplete")
        scene.watch(process.pid)
        enough = scene.done + moments.randrange(1, 10)
        wait_for(lambda: scene.done >= enough and _lose(second), what="work on the second node")
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        assert JobStatus.LOST in {job.record.status for job in workspace.history.jobs}
        _check(workspace, scene, undisturbed)
    ends = [history.end and history.end.status for history in workspace.histories()]
    assert ends[-1] == "succeeded"
    assert set(ends[:-1]) <= {"interrupted", None}


def test_no_record_is_lost_when_the_driver_is_killed_twenty_times(
    tmp_path: Path, mark: str
) -> None:
    moments = drawn()
    root = tmp_path / "work"
    root.mkdir()
    phases = ["submit", "run", "hash", "journal", "deliver"]
    phases += ["moment"] * (KILLS - len(phases))
    moments.shuffle(phases)
    with ray_cluster(2, tmp_path / "cluster.log") as cluster:
        workspace = Workspace(root, cluster)
        scene = Scene(workspace, mark, cluster=os.getpid(), targets=chaos.ROUND)
        for number in range(3 * KILLS):
            phase = phases[-1]
            asked = {"run": f"slow=[{number}]", "hash": f"big=[{number}]"}.get(phase, "slow=[]")
            process = workspace.start(
                *("--rerun-incomplete", "--ray-delivery-wait", "5"),
                *("--config", f"round={number}", asked),
            )
            scene.watch(process.pid)
            struck, output = _struck(scene, phase, process, moments.uniform(0, 4))
            assert struck or process.returncode == 0, output
            workspace.ok("--unlock", "--config", f"round={number}")
            if struck:
                phases.pop()
            if not phases:
                break
        assert phases == []
        _check_files(workspace, scene)
    sync = [sys.executable, "-m", "snakemake_repro.cli", "sync"]
    subprocess.run(sync, cwd=root, env=workspace.environ, check=True, capture_output=True)
    view = View(workspace.environ["MLFLOW_TRACKING_URI"])
    for history in workspace.histories():
        shown = view.shown(history.run.id)
        assert shown.attempts == sorted(job.record.id for job in history.jobs)


def _struck(
    scene: Scene, phase: str, process: subprocess.Popen[str], pause: float
) -> tuple[bool, str]:
    """Kill a driver in a phase; tell whether it came to that, and what the run said."""
    driver = process.pid
    began = time.monotonic()

    def moment() -> bool:
        return time.monotonic() - began > pause and scene.strike(driver)

    look: dict[str, Callable[[], object]] = {
        "moment": moment,
        "submit": lambda: scene.submit(lambda: driver, pause),
        "run": lambda: scene.run(lambda _: driver),
        "hash": lambda: scene.hash(lambda _: driver),
        "journal": lambda: scene.journal(lambda: driver, wait_for),
        "deliver": lambda: scene.ended and scene.strike(driver),
    }
    for struck in polled(look[phase], seconds=60):
        if struck or process.poll() is not None:
            break
    output, _ = process.communicate(timeout=30)
    wait_for(lambda: not (scene.left or scene.jobs_left), timeout=20, what="the end of it all")
    return process.returncode == -9, output


def _check_files(workspace: Workspace, scene: Scene) -> None:
    """Look for files without a record, records without their files, attempts without a line."""
    histories = workspace.histories()
    lines = attempts(histories)
    for (name, what), count in scene.trail.items():
        if what == "begun":
            assert lines[name] >= count, f"an attempt at {name} has no line"
    known = {
        file.path: file.digest
        for history in histories
        for job in history.jobs
        if job.record.status is JobStatus.SUCCEEDED and job.state is not JobState.REJECTED
        for file in job.record.outputs
    }
    incomplete = {
        base64.b64decode(path.name).decode()
        for path in (workspace.root / ".snakemake/incomplete").iterdir()
        if path.is_file()
    }
    found = {str(path.relative_to(workspace.root)) for path in workspace.root.glob("out/*/*")}
    for path in found - incomplete:
        assert known[path] == hash_file(workspace.root / path)[0], f"{path} has no record"
    assert set(standing(histories)) <= found, "no record lacks its file"


def _lose(node: int) -> bool:
    """Kill a node's raylet and its workers while one is busy, as when power fails.

    The raylet alone would not do: Ray's idle workers outlive it for more than a minute.
    """
    for worker in descendants(node, "ray::execute"):
        with stopped(worker):
            if "ray::execute" not in command(worker):
                continue
            others = descendants(node, "ray::")
            [raylet] = [pid for pid in descendants(node, "raylet") if _name(pid) == "raylet"]
            for pid in (raylet, *others):
                with suppress(ProcessLookupError):
                    kill(pid)
            return True
    return False


def _accepted(workspace: Workspace) -> set[str]:
    return {
        _trail(job.record)
        for history in workspace.histories()
        for job in history.jobs
        if job.state is JobState.ACCEPTED
    }


def _trail(record: JobRecord) -> str:
    return f"{record.spec.rule}.{record.spec.wildcards['i']}"


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
