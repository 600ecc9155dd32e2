"""Every tracker behaves alike: the one in memory, and MLflow on an embedded store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from fakes import MemoryRun, MemoryTracker
from recordings import Recording, study

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.interfaces import Tracker
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.records import JobAccepted, Metric, Trial, TrialState


class Store(Protocol):
    """A tracking store, and what is to be seen in it."""

    def tracker(self) -> Tracker:
        """Connect anew, as another process would."""
        ...

    def runs(self) -> list[str]:
        """Return the workflow runs; one that was made twice twice."""
        ...

    def status(self, run_id: str) -> str:
        """Return how a workflow run is shown."""
        ...

    def jobs(self, run_id: str) -> list[tuple[str, str, tuple[str, ...]]]:
        """Return rule, state and outputs of the attempts; one that was made twice twice."""
        ...

    def trials(self, run_id: str, job_id: str) -> list[Any]:
        """Return number, state, parameters and last measurements of an attempt's trials."""
        ...

    def lineage(self, run_id: str) -> Mapping[str, bytes]:
        """Return the lineage parts."""
        ...


class InMemory:
    def __init__(self, _: Path) -> None:
        self._store: dict[str, MemoryRun] = {}

    def tracker(self) -> Tracker:
        return MemoryTracker(self._store)

    def runs(self) -> list[str]:
        return list(self._store)

    def status(self, run_id: str) -> str:
        return self._store[run_id].status

    def jobs(self, run_id: str) -> list[tuple[str, str, tuple[str, ...]]]:
        return sorted(job for made in self._store[run_id].jobs.values() for job in made)

    def trials(self, run_id: str, job_id: str) -> list[Any]:
        return self._store[run_id].trials[job_id]

    def lineage(self, run_id: str) -> Mapping[str, bytes]:
        return self._store[run_id].lineage


class Mlflow:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._uri = f"sqlite:///{root / 'tracking' / 'mlflow.db'}"

    def tracker(self) -> Tracker:
        from snakemake_repro.backends.mlflow_tracker import MlflowTracker

        return MlflowTracker(self._uri)

    def runs(self) -> list[str]:
        tags = [run.data.tags for run in self._view().runs()]
        return [t["repro.run_id"] for t in tags if t["repro.kind"] == "workflow"]

    def status(self, run_id: str) -> str:
        return str(self._view().shown(run_id).parent.info.status)

    def jobs(self, run_id: str) -> list[tuple[str, str, tuple[str, ...]]]:
        found = []
        for runs in self._view().shown(run_id).jobs.values():
            for run in runs:
                tags = run.data.tags
                outputs = [v for k, v in sorted(tags.items()) if k.startswith("repro.output.")]
                paths = tuple(value.split(" ")[0] for value in outputs)
                found.append((tags["repro.rule"], tags["repro.state"], paths))
        return sorted(found)

    def trials(self, run_id: str, job_id: str) -> list[Any]:
        view = self._view()
        [job] = view.shown(run_id).jobs[job_id]
        below = [
            run for run in view.runs() if run.data.tags.get("mlflow.parentRunId") == job.info.run_id
        ]
        found = [
            (
                int(run.data.tags["repro.trial"]),
                run.data.tags["repro.state"],
                run.data.params,
                run.data.metrics,
            )
            for run in below
            if run.info.end_time is not None
        ]
        return sorted(found, key=lambda trial: trial[0])

    def lineage(self, run_id: str) -> Mapping[str, bytes]:
        return self._view().lineage(run_id, self._root / "downloaded")

    def _view(self):
        from mlflow_view import View

        return View(self._uri)


STORES: dict[str, Callable[[Path], Store]] = {"memory": InMemory, "MLflow": Mlflow}


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path)


@pytest.fixture
def history(tmp_path: Path) -> RunHistory:
    return JournalStore(tmp_path / "work").load(study(tmp_path / "work"))


def _ids(history: RunHistory) -> list[str]:
    return [job.record.id for job in history.jobs]


def _expected(history: RunHistory) -> list[tuple[str, str, tuple[str, ...]]]:
    return sorted(
        (job.record.spec.rule, job.state.value, tuple(f.path for f in job.record.outputs))
        for job in history.jobs
    )


def test_a_run_is_delivered_and_closed(store: Store, history: RunHistory) -> None:
    tracker = store.tracker()
    name = tracker.begin(history)
    assert name
    assert store.status(history.run.id) == "RUNNING"
    tracker.put_jobs(history, _ids(history))
    tracker.put_lineage(history, "part-00000", [b"one\n", b"two\n"])
    tracker.finish(history)
    assert store.runs() == [history.run.id]
    assert store.status(history.run.id) == "FINISHED"
    assert store.jobs(history.run.id) == _expected(history)
    assert store.lineage(history.run.id) == {"part-00000": b"one\ntwo\n"}


def test_the_trials_of_a_search_are_below_their_job_once(store: Store, tmp_path: Path) -> None:
    run = Recording(tmp_path / "work")
    job_id = run.job(
        "tune",
        trials=[
            Trial(number=0, params={"depth": 3}, metrics=(Metric(name="loss", value=0.5),)),
            Trial(
                number=1,
                state=TrialState.PRUNED,
                params={"depth": 4},
                metrics=tuple(Metric(name="loss", value=1 / n, step=n) for n in (1, 2, 4)),
            ),
            Trial(number=2, state=TrialState.FAILED, params={"depth": 5}),
        ],
    )
    history = JournalStore(tmp_path / "work").load(run.end())
    for _ in range(2):
        tracker = store.tracker()
        tracker.begin(history)
        tracker.put_jobs(history, [job_id])
        tracker.finish(history)
    assert store.trials(history.run.id, job_id) == [
        (0, "complete", {"depth": "3"}, {"loss": 0.5}),
        (1, "pruned", {"depth": "4"}, {"loss": 0.25}),
        (2, "failed", {"depth": "5"}, {}),
    ]


def test_whatever_is_repeated_by_another_process_is_there_once(
    store: Store, history: RunHistory
) -> None:
    names = set()
    for part in (b"old\n", b"new\n"):
        tracker = store.tracker()
        names |= {tracker.begin(history), tracker.begin(history)}
        tracker.put_jobs(history, _ids(history)[:3])
        tracker.put_jobs(history, _ids(history))
        tracker.put_lineage(history, "part-00000", [part])
        tracker.finish(history)
    assert len(names) == 1
    assert store.runs() == [history.run.id]
    assert store.jobs(history.run.id) == _expected(history)
    assert store.lineage(history.run.id) == {"part-00000": b"new\n"}


def test_a_later_verdict_replaces_the_earlier_one(store: Store, tmp_path: Path) -> None:
    root = tmp_path / "work"
    run = Recording(root)
    judged = run.job("judged", writes={"a": "1"}, verdict=None)
    run.job("unjudged", writes={"b": "1"}, verdict=None)
    before = JournalStore(root).load(run.id)
    store.tracker().put_jobs(before, _ids(before))
    assert {state for _, state, _ in store.jobs(run.id)} == {"ran"}
    run._driver.append(JobAccepted(run_id=run.id, at=run.now(), job_id=judged))
    run.close()
    after = JournalStore(root).load(run.id)
    store.tracker().put_jobs(after, [judged])
    assert store.jobs(run.id) == [("judged", "accepted", ("a",)), ("unjudged", "ran", ("b",))]


@pytest.mark.parametrize(
    ("end", "shown"), [("succeeded", "FINISHED"), ("failed", "FAILED"), (None, "KILLED")]
)
def test_a_run_is_closed_as_it_ended(
    store: Store, tmp_path: Path, end: str | None, shown: str
) -> None:
    run = Recording(tmp_path / "work")
    run.job("one", writes={"a": "1"})
    if end is not None:
        run.end(end)
    run.close()
    history = JournalStore(tmp_path / "work").load(run.id)
    tracker = store.tracker()
    tracker.begin(history)
    tracker.finish(history)
    assert store.status(run.id) == shown
