"""Fakes of our own Protocols; each passes the contract suite of the real thing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from snakemake_repro.logic.history import RunHistory


@dataclasses.dataclass(kw_only=True)
class MemoryRun:
    """A workflow run as a tracking store would show it.

    Attributes:
        status: ``RUNNING`` until it is finished.
        jobs: Attempt id -> one (name, state, paths of outputs) for each time it was made.
    """

    status: str = "RUNNING"
    jobs: dict[str, list[tuple[str, str, tuple[str, ...]]]] = dataclasses.field(
        default_factory=dict
    )
    lineage: dict[str, bytes] = dataclasses.field(default_factory=dict)


class MemoryTracker:
    """A ``Tracker`` that keeps what it is given; several may share one store."""

    def __init__(self, store: dict[str, MemoryRun]) -> None:
        self.store = store

    def begin(self, history: RunHistory) -> str:
        """Make sure that the run exists."""
        self.store.setdefault(history.run.id, MemoryRun())
        return f"memory-{history.run.id}"

    def put_jobs(self, history: RunHistory, job_ids: Sequence[str]) -> None:
        """Keep attempts; one that is there is written over."""
        run = self._run(history)
        jobs = {job.record.id: job for job in history.jobs}
        for job_id in job_ids:
            job = jobs[job_id]
            paths = tuple(file.path for file in job.record.outputs)
            run.jobs[job_id] = [(job.record.spec.rule, job.state.value, paths)]

    def put_lineage(self, history: RunHistory, part: str, lines: Iterable[bytes]) -> None:
        """Keep a part."""
        self._run(history).lineage[part] = b"".join(lines)

    def finish(self, history: RunHistory) -> None:
        """Close the run."""
        status = "interrupted" if history.end is None else history.end.status
        ends = {"succeeded": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
        self._run(history).status = ends[status]

    def _run(self, history: RunHistory) -> MemoryRun:
        self.begin(history)
        return self.store[history.run.id]
