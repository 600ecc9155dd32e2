"""Delivery from the journal: complete, in order, once, wherever it is cut off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from fakes import MemoryRun, MemoryTracker
from recordings import Recording, study

from snakemake_repro.backends.journal import FileJournal, JournalStore
from snakemake_repro.errors import RecordError, TrackingError
from snakemake_repro.interfaces import Tracker
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.operations.deliver import Deliveries, goes_on, is_over, outstanding
from snakemake_repro.records import JobAccepted, JobStatus


class Place:
    """One tracking store under a name."""

    def __init__(self, store: dict[str, MemoryRun], name: str = "memory") -> None:
        self._store = store
        self._name = name

    def name(self, _: RunHistory) -> str:
        return self._name

    def tracker(self, _: RunHistory) -> Tracker:
        return MemoryTracker(self._store)


class Failing(MemoryTracker):
    """Breaks off at a given call: before it did its work, or after."""

    def __init__(self, store: dict[str, MemoryRun], at: int, *, after: bool) -> None:
        super().__init__(store)
        self._left = at
        self._after = after

    def name(self, _: RunHistory) -> str:
        return "memory"

    def tracker(self, _: RunHistory) -> Tracker:
        return self

    def put_jobs(self, history: RunHistory, job_ids: Sequence[str]) -> None:
        self._step(lambda: super(Failing, self).put_jobs(history, job_ids))

    def put_lineage(self, history: RunHistory, part: str, lines: Iterable[bytes]) -> None:
        self._step(lambda: super(Failing, self).put_lineage(history, part, lines))

    def finish(self, history: RunHistory) -> None:
        self._step(lambda: super(Failing, self).finish(history))

    def _step(self, work: Callable[[], None]) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise TrackingError("gone")
        work()
        if self._left == 0:
            raise TrackingError("gone")


def _jobs(store: dict[str, MemoryRun], run_id: str) -> dict[str, str]:
    return {job_id: state for job_id, [(_, state, _)] in store[run_id].jobs.items()}


def _expected(workdir: Path, run_id: str) -> dict[str, str]:
    return {j.record.id: j.state.value for j in JournalStore(workdir).load(run_id).jobs}


def _lines(workdir: Path, run_id: str) -> list[bytes]:
    return sorted(
        line
        for path in JournalStore(workdir).files(run_id)
        for line in path.read_bytes().splitlines()
    )


def _many(workdir: Path, count: int) -> Recording:
    run = Recording(workdir)
    for number in range(count):
        run.job("one", wildcards={"n": str(number)}, writes={f"out/{number}": str(number)})
    return run


def test_a_run_that_is_over_arrives_completely(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    assert outstanding(tmp_path) == {run_id: 8}
    store: dict[str, MemoryRun] = {}
    assert Deliveries(tmp_path, Place(store)).deliver(run_id).complete
    assert _jobs(store, run_id) == _expected(tmp_path, run_id)
    assert store[run_id].status == "FINISHED"
    delivered = b"".join(store[run_id].lineage.values()).splitlines()
    assert sorted(delivered) == _lines(tmp_path, run_id)
    assert outstanding(tmp_path) == {}
    assert JournalStore(tmp_path).in_mlflow(f"memory-{run_id[:8]}") == [run_id]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_wherever_it_breaks_off_the_next_one_completes_it(tmp_path: Path, *, after: bool) -> None:
    run_id = _many(tmp_path, 35).end()
    notes = tmp_path / ".repro" / "delivery" / f"{run_id}.json"
    for at in range(1, 7):  # the lineage, four batches, the end
        store: dict[str, MemoryRun] = {}
        with pytest.raises(TrackingError):
            Deliveries(tmp_path, Failing(store, at, after=after)).deliver(run_id)
        assert outstanding(tmp_path), f"cut off at step {at}"
        assert Deliveries(tmp_path, Place(store)).deliver(run_id).complete
        assert _jobs(store, run_id) == _expected(tmp_path, run_id)
        assert store[run_id].status == "FINISHED"
        notes.unlink()


def test_an_attempt_waits_for_its_verdict_while_the_run_goes_on(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    job = run.job("one", writes={"a": "1"}, verdict=None)
    store: dict[str, MemoryRun] = {}
    deliveries = Deliveries(tmp_path, Place(store))
    assert not deliveries.deliver(run.id).over
    assert _jobs(store, run.id) == {}
    assert outstanding(tmp_path) == {run.id: 1}
    run._driver.append(JobAccepted(run_id=run.id, at=run.now(), job_id=job))
    deliveries.deliver(run.id)
    assert _jobs(store, run.id) == {job: "accepted"}
    assert store[run.id].status == "RUNNING"
    run.end("failed")
    assert deliveries.deliver(run.id).complete
    assert store[run.id].status == "FAILED"


def test_lines_that_come_after_the_end_are_delivered_as_well(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    early = run.job("early", writes={"a": "1"})
    run.end()
    store: dict[str, MemoryRun] = {}
    assert Deliveries(tmp_path, Place(store)).deliver(run.id).complete
    late = FileJournal(tmp_path, run.id, "worker")
    source = JournalStore(tmp_path).load(run.id).jobs[0].record.to_dict()
    line = {"schema": 1, "kind": "job-ended", "run": run.id, "at": run.now()}
    line["data"] = {"job": {**source, "id": "f" * 32}}
    late.path.write_bytes(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    assert outstanding(tmp_path) == {run.id: 1}
    assert Deliveries(tmp_path, Place(store)).deliver(run.id).complete
    assert _jobs(store, run.id) == {early: "accepted", "f" * 32: "ran"}
    assert outstanding(tmp_path) == {}


def test_what_became_of_temporary_files_is_told_later(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    job = run.job("scratch", writes={"tmp/a": "1"})
    calls: list[list[str]] = []

    class Counting(Place):
        def tracker(self, _: RunHistory) -> Tracker:
            tracker = MemoryTracker(store)
            put = tracker.put_jobs
            tracker.put_jobs = lambda h, ids: (calls.append(list(ids)), put(h, ids))[1]  # type: ignore[method-assign]
            return tracker

    store: dict[str, MemoryRun] = {}
    deliveries = Deliveries(tmp_path, Counting(store))
    deliveries.deliver(run.id)
    deliveries.deliver(run.id)
    assert calls == [[job]], "what is there is not sent again"
    run._driver.append(JobAccepted(run_id=run.id, at=run.now(), job_id=job, removed=("tmp/a",)))
    deliveries.deliver(run.id)
    assert calls == [[job], [job]]


def test_a_torn_last_line_is_left_for_later(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    job = run.job("one", writes={"a": "1"})
    store: dict[str, MemoryRun] = {}
    deliveries = Deliveries(tmp_path, Place(store))
    deliveries.deliver(run.id)
    accepted = b'{"schema":1,"kind":"job-rejected","run":"x","at":"t","data":{"job_id":"'
    with run.worker_file.open("ab") as file:
        file.write(accepted)
    deliveries.deliver(run.id)
    with run.worker_file.open("ab") as file:
        file.write(b'nobody"}}\n')
    run.end()
    assert deliveries.deliver(run.id).complete
    assert _jobs(store, run.id) == {job: "accepted"}
    assert b'"nobody"' in b"".join(store[run.id].lineage.values())


def test_a_damaged_line_is_named_and_nothing_is_closed(tmp_path: Path) -> None:
    run = _many(tmp_path, 1)
    run.end()
    with run.worker_file.open("ab") as file:
        file.write(b"rubbish\n")
    store: dict[str, MemoryRun] = {}
    with pytest.raises(RecordError, match=r"worker-.*byte \d+: not a JSON object"):
        Deliveries(tmp_path, Place(store)).deliver(run.id)
    assert store == {}


def test_damaged_notes_cost_time_and_nothing_else(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    store: dict[str, MemoryRun] = {}
    Deliveries(tmp_path, Place(store)).deliver(run_id)
    (tmp_path / ".repro" / "delivery" / f"{run_id}.json").write_text('{"run_id": ')
    assert Deliveries(tmp_path, Place(store)).deliver(run_id).complete
    assert _jobs(store, run_id) == _expected(tmp_path, run_id)


def test_little_is_done_at_a_time_while_a_run_goes_on(tmp_path: Path) -> None:
    run = _many(tmp_path, 25)
    store: dict[str, MemoryRun] = {}
    deliveries = Deliveries(tmp_path, Place(store))
    seen = []
    while (progress := deliveries.deliver(run.id, seconds=0)).left:
        seen.append(len(store[run.id].jobs))
    assert seen == [10, 20]
    assert len(store[run.id].jobs) == 25
    assert not progress.over


def test_another_tracking_store_gets_everything_anew(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    here: dict[str, MemoryRun] = {}
    there: dict[str, MemoryRun] = {}
    Deliveries(tmp_path, Place(here)).deliver(run_id)
    assert Deliveries(tmp_path, Place(there, "other")).deliver(run_id).complete
    assert here == there


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ("auto", {"plain", "measured"}),
        ("all", {"plain", "measured"}),
        ("tracked", {"measured"}),
        ("workflow", set()),
    ],
)
def test_the_user_says_which_jobs_are_shown(tmp_path: Path, policy: str, names: set[str]) -> None:
    run = Recording(tmp_path)
    run.job("plain", writes={"a": "1"})
    run.job("measured", writes={"b": "1"}, metrics={"auc": 0.8})
    _set(run, mlflow_runs=policy)
    run.end()
    store: dict[str, MemoryRun] = {}
    assert Deliveries(tmp_path, Place(store)).deliver(run.id).complete
    assert {name for [(name, _, _)] in store[run.id].jobs.values()} == names
    assert outstanding(tmp_path) == {}


def test_of_very_many_jobs_only_those_with_metrics_are_shown(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("plain", writes={"a": "1"})
    run.job("measured", writes={"b": "1"}, metrics={"auc": 0.8})
    _set(run, mlflow_runs="auto", job_count=2_001)
    store: dict[str, MemoryRun] = {}
    Deliveries(tmp_path, Place(store)).deliver(run.id)
    assert {name for [(name, _, _)] in store[run.id].jobs.values()} == {"measured"}
    assert outstanding(tmp_path) == {run.id: 0}, "the other one is not on its way"
    run.end()


def test_a_run_whose_driver_was_killed_is_closed(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from recordings import Recording\n"
        "run = Recording(Path(sys.argv[1]))\n"
        "run.job('one', writes={'a': '1'}, verdict=None); print(run.id, flush=True)\n"
        "sys.stdin.read()\n"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert driver.stdout is not None
    run_id = driver.stdout.readline().strip()
    files = JournalStore(tmp_path).files(run_id)
    store: dict[str, MemoryRun] = {}
    deliveries = Deliveries(tmp_path, Place(store))
    assert not deliveries.deliver(run_id).over
    assert goes_on(files, quiet=0)
    driver.kill()
    driver.communicate()
    assert not goes_on(files, quiet=1e9)
    assert deliveries.deliver(run_id).complete
    assert store[run_id].status == "KILLED"
    assert list(_jobs(store, run_id).values()) == ["ran"]


def test_a_process_with_the_drivers_id_that_began_later_is_another_one(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    assert not is_over([run.driver_file]), "this process began before it wrote"
    os.utime(run.driver_file, (1_000_000, 1_000_000))
    assert is_over([run.driver_file])
    run.close()


def test_nothing_is_presumed_of_a_driver_on_another_machine(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.close()
    elsewhere = run.driver_file.with_name("driver-elsewhere-1-0a0b0c0d.jsonl")
    run.driver_file.rename(elsewhere)
    assert not is_over([elsewhere])
    assert goes_on([elsewhere], quiet=3600)
    old = time.time() - 7200
    os.utime(elsewhere, (old, old))
    assert not is_over([elsewhere]), "it is never closed"
    assert not goes_on([elsewhere], quiet=3600), "but not waited for either"


def test_asking_what_is_pending_is_cheap(tmp_path: Path) -> None:
    run = _many(tmp_path, 1)
    line = next(x for x in run.worker_file.read_bytes().splitlines(keepends=True) if b"job-e" in x)
    with run.worker_file.open("ab") as file:
        file.write(line * 1_999)
    run.close()
    durations = []
    for _ in range(5):
        began = time.perf_counter()
        assert outstanding(tmp_path) == {run.id: 2_000}
        durations.append(time.perf_counter() - began)
    assert min(durations) < 0.02


def test_a_failed_attempt_is_delivered_too(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    job = run.job("one", status=JobStatus.FAILED, verdict="rejected", error="boom")
    run.end("failed")
    store: dict[str, MemoryRun] = {}
    assert Deliveries(tmp_path, Place(store)).deliver(run.id).complete
    assert _jobs(store, run.id) == {job: "rejected"}


def _set(run: Recording, **values: object) -> None:
    """Change fields of the beginning that was written."""
    first, *others = run.driver_file.read_bytes().splitlines(keepends=True)
    line = json.loads(first)
    line["data"]["run"].update(values)
    text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
    run.driver_file.write_bytes(b"".join([text, *others]))
