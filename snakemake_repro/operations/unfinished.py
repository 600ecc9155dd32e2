"""Attempts that ended without a line from their own worker: somebody else writes it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.journal import FileJournal, JournalStore
from snakemake_repro.records import JobEnded, JobRecord, JobStatus, Origin
from snakemake_repro.records.tasks import Task

_WRITER = "gateway"
_REASON = "snakemake was killed"


def recorded(workdir: Path, task: Task) -> list[JobRecord]:
    """Return what workers journaled of a task, in its order."""
    if not task.record:
        return []
    # only these lines are read: each of many tasks that are lost together asks
    found = _records(workdir, task.run_id, having=[member.id for member in task.members])
    return [found[member.id] for member in task.members if member.id in found]


def unfinished(task: Task, status: JobStatus, reason: str, *, at: str) -> Iterator[JobEnded]:
    """Yield the lines of a task that ended without its own."""
    if not task.record:
        return
    for member in task.members:
        job = JobRecord(
            id=member.id,
            run_id=task.run_id,
            jobid=member.jobid,
            attempt=task.attempt,
            resubmission=task.resubmission,
            spec=member.spec,
            status=status,
            origin=Origin.RAY,
            tier=task.tier,
            finished=at,
            error=reason,
            resources=member.resources,
            group=task.group,
        )
        yield JobEnded(run_id=task.run_id, at=at, job=job)


def unwritten(
    tasks: Sequence[Task], status: JobStatus, reason: str, *, at: str
) -> Iterator[JobEnded]:
    """Yield the lines of tasks of one run, except for members that their workers journaled.

    The journal is read once.
    """
    if not tasks:
        return
    known = _records(Path(tasks[0].workdir), tasks[0].run_id)
    for task in tasks:
        for entry in unfinished(task, status, reason, at=at):
            if entry.job.id not in known:
                yield entry


def record_orphans(payloads: Iterable[bytes]) -> None:
    """Write that attempts were interrupted whose driver is gone and cannot write it.

    Args:
        payloads: Tasks as JSON; those that their workers journaled are passed over.

    Raises:
        StorageError: The record cannot be written.
    """
    tasks = [Task.from_dict(json.loads(payload)) for payload in payloads]
    if not tasks:
        return
    # a gateway serves one run
    journal = FileJournal(Path(tasks[0].workdir), tasks[0].run_id, _WRITER)
    try:
        for entry in unwritten(tasks, JobStatus.INTERRUPTED, _REASON, at=SystemClock().now()):
            journal.append(entry)
    finally:
        journal.close()


def _records(workdir: Path, run_id: str, having: Collection[str] = ()) -> dict[str, JobRecord]:
    return {
        entry.job.id: entry.job
        for entry in JournalStore(workdir).entries(run_id, having)
        if isinstance(entry, JobEnded)
    }
