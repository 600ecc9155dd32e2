"""Runs whose Snakemake is gone without having written their end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.host import host_id
from snakemake_repro.backends.journal import FileJournal, JournalStore
from snakemake_repro.backends.parents import Parent, Parents
from snakemake_repro.errors import NotFoundError, RecordError
from snakemake_repro.operations.attempt import WRITER
from snakemake_repro.records import JobRecord, JobStatus, RunEnd, RunEnded


def end_abandoned_runs(workdir: Path) -> None:
    """Write the end of runs whose Snakemake process is gone and could not write it.

    Such a run counts as failed when the last attempt at one of its recorded jobs failed, as
    interrupted when one was cut short or somebody was to write its end and did not, else as
    succeeded.

    Raises:
        StorageError: The record cannot be written.
    """

    def end(parent: Parent) -> None:
        try:
            history = JournalStore(workdir).load(parent.run_id)
        except (NotFoundError, RecordError):
            return  # it never began, or is nothing that this version may add to
        if history.end is not None:
            return
        last = {_job_of(job.record): job.record for job in history.jobs}
        statuses = {job.status for job in last.values()}
        if JobStatus.FAILED in statuses:
            status = "failed"
        elif parent.leader == WRITER and statuses <= {JobStatus.SUCCEEDED}:
            status = "succeeded"
        else:
            status = "interrupted"
        times = [job.finished for job in last.values() if job.finished is not None]
        finished = max(times, default=history.run.started)
        journal = FileJournal(workdir, parent.run_id, WRITER)
        try:
            run_end = RunEnd(status=status, finished=finished)
            journal.append(RunEnded(run_id=parent.run_id, at=SystemClock().now(), end=run_end))
        finally:
            journal.close()

    Parents(workdir, host_id()).sweep(end)


def _job_of(job: JobRecord) -> tuple[Any, ...]:
    return (job.spec.rule, *sorted(job.spec.wildcards.items()))
