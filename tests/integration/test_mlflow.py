"""The record in MLflow: an embedded store, a real server, and a recorder that is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_view import Shown, View
from processes import wait_for, with_environment
from recordings import CLEAN, PINNED, Recording, study, study_again
from servers import LossyProxy, MlflowServer

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.backends.mlflow_store import MlflowStore
from snakemake_repro.errors import NotFoundError, RecordError, TrackingError
from snakemake_repro.logic.history import results
from snakemake_repro.operations.sync import pending, sync
from snakemake_repro.recorder import start_recorder
from snakemake_repro.records import GitState, JobAccepted, Trial

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server that the tests of this module share."""
    with MlflowServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory whose recorder, if any, is ended with the test."""
    root = tmp_path / "work"
    root.mkdir()
    monkeypatch.setenv("REPRO_TEST_RECORDER", str(root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield root
    for pid in _recorders(root):
        os.kill(pid, signal.SIGKILL)


def _recorders(root: Path) -> list[int]:
    own = os.getpid()
    return [pid for pid in with_environment(f"REPRO_TEST_RECORDER={root}") if pid != own]


def _set(run: Recording, **values: object) -> None:
    """Change fields of the beginning that was written."""
    first, *others = run.driver_file.read_bytes().splitlines(keepends=True)
    line = json.loads(first)
    line["data"]["run"].update(values)
    text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
    run.driver_file.write_bytes(b"".join([text, *others]))


def _many(root: Path, count: int, uri: str | None = None) -> Recording:
    run = Recording(root)
    _set(run, tracking_uri=uri)
    for number in range(count):
        run.job(
            "train",
            wildcards={"n": str(number)},
            writes={f"out/{number}": str(number)},
            metrics={"auc": number / 100},
        )
    return run


def _arrived(root: Path) -> bool:
    return pending(root).runs == 0


def _assert_complete(root: Path, uri: str, run_id: str) -> None:
    history = JournalStore(root).load(run_id)
    shown = View(uri).shown(run_id)
    assert shown.attempts == sorted(job.record.id for job in history.jobs), "each of them once"
    assert shown.states == {job.record.id: job.state.value for job in history.jobs}
    assert {run.info.status for [run] in shown.jobs.values()} == {"FINISHED"}
    store = MlflowStore(uri)
    assert store.load(run_id) == history
    assert store.in_mlflow(str(shown.parent.info.run_id)) == [run_id]


def _run_ids(shown: Shown) -> dict[str, list[str]]:
    return {attempt: [run.info.run_id for run in runs] for attempt, runs in shown.jobs.items()}


def test_every_result_leads_to_its_job_environment_commit_and_digest(work: Path) -> None:
    run_id = study(work)
    result = sync(work)
    assert result.delivered == (run_id,)
    history = JournalStore(work).load(run_id)
    view = View(f"sqlite:///{work}/mlflow.db")
    ids = [e.experiment_id for e in view.client.search_experiments()]
    standing = results(history)
    assert len(standing) == 8
    for path, (file, job) in standing.items():
        assert file.digest is not None
        query = f"tags.`repro.sha256.{file.digest.value[:36]}` = '{path}'"
        (found,) = view.client.search_runs(ids, query)
        tags = found.data.tags
        assert f"{path} {file.digest}" in tags.values()
        assert tags["repro.rule"] == job.record.spec.rule
        assert tags["repro.environment"] == "envs/learn.yaml"
        assert tags["repro.environment.digest"] == str(PINNED.digest)
        assert tags["repro.environment.pinned"] == "true"
        assert tags["mlflow.source.git.commit"] == CLEAN.commit
        assert tags["repro.git.dirty"] == "false"
        assert {"use.wall_s", "use.cpu_user_s", "use.max_rss_mb"} <= set(found.data.metrics)
        datasets = {
            (tag["mlflow.data.context"], tag["path"], tag["sha256"])
            for tag in ({t.key: t.value for t in d.tags} for d in found.inputs.dataset_inputs)
        }
        inputs = {
            ("input", f.path, f.digest.value)
            for f in job.record.spec.inputs
            if f.digest is not None
        }
        assert datasets == {*inputs, ("output", path, file.digest.value)}
    names = {run.info.run_name for run in view.runs()}
    assert "train model=svm" in names
    shown = view.shown(run_id)
    assert shown.parent.info.status == "FINISHED"
    assert shown.parent.data.tags["repro.jobs.accepted"] == "8"


def test_the_record_is_rebuilt_from_mlflow_alone(work: Path, server: MlflowServer) -> None:
    for uri in (None, server.uri):
        root = work / ("here" if uri is None else "there")
        root.mkdir()
        study(root)
        study_again(root)
        assert len(sync(root, tracking_uri=uri).delivered) == 2
        ids = JournalStore(root).run_ids()
        store = MlflowStore(uri or f"sqlite:///{root}/mlflow.db", "showers")
        assert store.run_ids() == ids
        for run_id in ids:
            assert store.load(run_id) == JournalStore(root).load(run_id)
        with pytest.raises(NotFoundError, match="no run 'nothing'"):
            store.load("nothing")
        with pytest.raises(NotFoundError, match="no experiment 'nothing'"):
            MlflowStore(uri or f"sqlite:///{root}/mlflow.db", "nothing")
    assert sync(work / "there", tracking_uri=server.uri).delivered == (), "nothing is left to do"


def test_a_store_that_is_not_there_is_not_made_by_asking_it(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="there is no MLflow store at"):
        MlflowStore(f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_damaged_lineage_is_named(work: Path) -> None:
    run_id = study(work)
    sync(work)
    (part,) = work.glob("mlruns/*/artifacts/lineage/part-00000.jsonl.gz")
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(RecordError, match=r"part-00000\.jsonl\.gz cannot be read"):
        MlflowStore(f"sqlite:///{work}/mlflow.db").load(run_id)


def test_odd_and_very_large_values_arrive(work: Path, server: MlflowServer) -> None:
    git = GitState(commit="ab" * 20, dirty=True, diff="--- a\n+++ b\n+caf\u00e9 \udc80\n")
    run = Recording(work, git=git)
    _set(
        run,
        config={
            "deep": {"text": "\u4e16" * 9_000, "n": [1, 2]},
            "wide": dict.fromkeys(map(str, range(250)), "v" * 5_999),
        },
    )
    job = run.job(
        "odd",
        wildcards={"x": "../\udc80"},
        params=[("a//b", 1), (None, "positional"), ("..", {"x": "y" * 20_000})],
        metrics={"loss@1": float("nan"), "/up": float("inf"), **{f"m{n}": n for n in range(1_200)}},
        writes={f"out/{n:03}": str(n) for n in range(120)} | {"out/\udcff": "odd"},
        error="\0",
    )
    run.end()
    for uri in (f"sqlite:///{work}/mlflow.db", server.uri):
        sync(work, tracking_uri=uri)
        view = View(uri)
        shown = view.shown(run.id)
        ((found,),) = shown.jobs.values()
        assert found.data.tags["repro.attempt_id"] == job
        assert len([t for t in found.data.tags if t.startswith("repro.output.")]) == 121
        assert len(found.data.metrics) == 1_202 + 4
        assert len(found.inputs.dataset_inputs) == 121
        params = shown.parent.data.params
        assert params["config.deep.text"].endswith("[cut: the complete value is in the record]")
        assert len(params) == 252
        assert "source.diff" in {
            a.path for a in view.client.list_artifacts(shown.parent.info.run_id)
        }
        stored, written = MlflowStore(uri).load(run.id), JournalStore(work).load(run.id)
        assert repr(stored) == repr(written)  # a NaN equals nothing


def test_a_late_verdict_changes_what_is_there(work: Path) -> None:
    run = _many(work, 1)
    late = run.job("late", writes={"late": "1"}, verdict=None)
    run.end("failed")
    sync(work)
    uri = f"sqlite:///{work}/mlflow.db"
    assert View(uri).shown(run.id).states[late] == "ran"
    run._driver.append(JobAccepted(run_id=run.id, at=run.now(), job_id=late))
    run.close()
    sync(work)
    shown = View(uri).shown(run.id)
    assert shown.states[late] == "accepted"
    assert len(shown.attempts) == 2
    assert len(shown.jobs[late][0].inputs.dataset_inputs) == 1
    assert shown.parent.info.status == "FAILED"
    assert MlflowStore(uri).load(run.id) == JournalStore(work).load(run.id)


def test_the_recorder_is_quiet_polite_and_alone(work: Path) -> None:
    run = _many(work, 5)
    start_recorder(work, None)
    wait_for((work / "mlflow.db").exists, what="its work")
    start_recorder(work, None)
    start_recorder(work, None)
    (pid,) = wait_for(lambda: _recorders(work), what="the recorder")
    wait_for(lambda: pending(work).jobs == 0, what="delivery while the run goes on")
    assert _recorders(work) == [pid]
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    assert os.getsid(pid) != os.getsid(0)
    assert View(f"sqlite:///{work}/mlflow.db").shown(run.id).parent.info.status == "RUNNING"
    run.job("last", writes={"last": "1"})
    run.end()
    wait_for(lambda: _arrived(work), what="the rest")
    wait_for(lambda: not _recorders(work), what="its end")
    _assert_complete(work, f"sqlite:///{work}/mlflow.db", run.id)
    assert (work / ".repro" / "recorder.log").read_text() == ""
    names = {path.name for path in work.iterdir()}
    assert names == {".repro", "mlflow.db", "mlruns", "out", "last"}


def test_the_recorder_ends_when_it_is_told_to(work: Path) -> None:
    _many(work, 1).close()
    start_recorder(work, None)
    (pid,) = wait_for(lambda: _recorders(work), what="the recorder")
    wait_for((work / "mlflow.db").exists, what="its work")
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not _recorders(work), what="its end")
    assert "Traceback" not in (work / ".repro" / "recorder.log").read_text()


def test_a_recorder_that_is_killed_leaves_nothing_out_and_makes_nothing_twice(work: Path) -> None:
    seed = int(os.environ.get("REPRO_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"REPRO_TEST_SEED={seed}")
    moments = random.Random(seed)
    run = _many(work, 120)
    run.end()
    database = work / "mlflow.db"
    kills = 0
    for _ in range(5):
        start_recorder(work, None)
        found = wait_for(lambda: _recorders(work) or _arrived(work), what="the recorder")
        wait_for(lambda: database.exists() or _arrived(work), what="its work")
        time.sleep(moments.uniform(0, 2.5) if kills else moments.uniform(1, 3))
        for pid in found if isinstance(found, list) else ():
            if pid in _recorders(work):
                os.kill(pid, signal.SIGKILL)
                kills += 1
        wait_for(lambda: not _recorders(work), what="its death")
    assert kills
    start_recorder(work, None)
    wait_for(lambda: _arrived(work), timeout=90, what="delivery")
    _assert_complete(work, f"sqlite:///{database}", run.id)


def test_a_store_whose_making_is_killed_is_made_again(tmp_path: Path) -> None:
    """MLflow's own first migration, killed in its midst, leaves what it can never open again."""
    database = tmp_path / "mlflow.db"
    making = f"from snakemake_repro.backends.mlflow_client import connect; connect({f'sqlite:///{database}'!r}, create=True)"
    with subprocess.Popen([sys.executable, "-c", making]) as process:
        begun = wait_for(lambda: list(tmp_path.iterdir()), what="the migration")
        wait_for(lambda: begun[0].stat().st_size, what="its first table")
        process.kill()
    assert not database.exists()
    subprocess.run([sys.executable, "-c", making], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_what_a_server_missed_is_delivered_when_it_is_back(tmp_path: Path, work: Path) -> None:
    server = MlflowServer(tmp_path / "own")
    run = _many(work, 60, server.uri)
    run.end()
    with pytest.raises(TrackingError, match="cannot be used") as caught:
        sync(work)
    assert caught.value.hint is not None
    assert "repro sync" in caught.value.hint
    assert pending(work).jobs == 60
    start_recorder(work, server.uri)
    try:
        server.start()
        wait_for(lambda: pending(work).jobs < 50, timeout=90, what="the first of it")
        server.stop()
        left = pending(work).jobs
        server.start()
        wait_for(lambda: _arrived(work), timeout=90, what="the rest")
        assert left <= 60
        _assert_complete(work, server.uri, run.id)
    finally:
        server.stop()


def test_a_creation_whose_answer_is_lost_is_not_repeated(work: Path, server: MlflowServer) -> None:
    with LossyProxy(server.port, every=4) as proxy:
        run = _many(work, 12, proxy.uri)
        run.end()
        failures = 0
        while not _arrived(work):
            try:
                sync(work)
            except TrackingError:
                failures += 1
        assert failures == proxy.lost >= 4
    _assert_complete(work, server.uri, run.id)


def test_what_came_through_late_is_deleted(work: Path) -> None:
    run = _many(work, 3)
    run.job("tune", trials=[Trial(number=n, params={"depth": n}) for n in range(4)])
    run.end()
    sync(work)
    uri = f"sqlite:///{work}/mlflow.db"
    view = View(uri)
    before = view.runs()
    assert len(before) == 1 + 4 + 4
    for made in before:
        names = (
            "repro.kind",
            "repro.run_id",
            "repro.attempt_id",
            "repro.trial",
            "mlflow.parentRunId",
        )
        tags = {name: made.data.tags[name] for name in names if name in made.data.tags}
        view.client.create_run(made.info.experiment_id, start_time=made.info.start_time, tags=tags)
    late = run.job("late", writes={"late": "1"})
    run.close()
    sync(work)
    [made_late] = _run_ids(view.shown(run.id))[late]
    there = {made.info.run_id for made in view.runs()}
    assert there == {made.info.run_id for made in before} | {made_late}
    _assert_complete(work, uri, run.id)


def test_credentials_stay_where_they_were(
    work: Path, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = server.uri.replace("http://", "http://alice:open-sesame@")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    run = _many(work, 1, server.uri)
    run.end()
    start_recorder(work, uri)
    for pid in _recorders(work):
        assert b"open-sesame" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    wait_for(lambda: _arrived(work), what="delivery")
    wait_for(lambda: not _recorders(work), what="its end")
    unreachable = uri.replace(str(server.port), "9")
    with pytest.raises(TrackingError) as caught:
        sync(work, tracking_uri=unreachable)
    assert "open-sesame" not in caught.value.render()
    stored = [*(work / ".repro").rglob("*"), *server.files.rglob("*")]
    for path in stored:
        if path.is_file():
            assert b"open-sesame" not in path.read_bytes(), path


@pytest.mark.parametrize(("policy", "shown"), [("auto", 2), ("tracked", 1), ("workflow", 0)])
def test_the_record_is_complete_whatever_is_shown(work: Path, policy: str, shown: int) -> None:
    run = Recording(work)
    run.job("plain", writes={"a": "1"})
    run.job("measured", writes={"b": "1"}, metrics={"auc": 0.8})
    _set(run, mlflow_runs=policy)
    run.end()
    sync(work)
    uri = f"sqlite:///{work}/mlflow.db"
    assert len(View(uri).shown(run.id).jobs) == shown
    assert MlflowStore(uri).load(run.id) == JournalStore(work).load(run.id)


def test_several_processes_may_open_a_new_store_at_once(work: Path) -> None:
    script = (
        "import sys; from snakemake_repro.backends.mlflow_client import connect\n"
        "connect(sys.argv[1], create=True)\n"
    )
    uri = f"sqlite:///{work}/mlflow.db"
    opening = [
        subprocess.Popen([sys.executable, "-c", script, uri], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    messages = [process.communicate()[1] for process in opening]
    assert [process.returncode for process in opening] == [0, 0, 0], messages
    assert messages == ["", "", ""], "nothing is said"
