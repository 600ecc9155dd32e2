"""What became of each job of a run, over all attempts at it."""

from __future__ import annotations

import dataclasses
import enum
import graphlib

from snakemake_repro.logic.history import JobHistory, RunHistory
from snakemake_repro.records import (
    MIN_PREFIX,
    FileKind,
    FileRecord,
    JobState,
    JobStatus,
    Origin,
)


class Result(enum.Enum):
    """How a job came out."""

    EXECUTED = "executed"
    LOCAL = "local"
    REUSED = "reused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNCONFIRMED = "unconfirmed"
    """It succeeded on its node, but Snakemake's verdict is not in the record."""


_DONE = {Origin.RAY: Result.EXECUTED, Origin.LOCAL: Result.LOCAL, Origin.REUSED: Result.REUSED}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobOutcome:
    """One job: a rule with its wildcards.

    Attributes:
        attempts: In the order of their start; never empty.
        last: The attempt that decides: the last that stands, else the last.
        result: How the job came out.
    """

    attempts: tuple[JobHistory, ...]
    last: JobHistory
    result: Result

    @property
    def rule(self) -> str:
        """The job's rule."""
        return self.last.record.spec.rule

    @property
    def label(self) -> str:
        """Rule and wildcards, for people to read."""
        return label(self.last)

    @property
    def done(self) -> bool:
        """Its results stand."""
        return self.result in (Result.EXECUTED, Result.LOCAL, Result.REUSED)

    @property
    def ran(self) -> bool:
        """It was executed in this run, and its results stand."""
        return self.result in (Result.EXECUTED, Result.LOCAL)

    @property
    def retried(self) -> bool:
        """Snakemake repeated it after a failure of its own."""
        return any(job.record.attempt > 1 for job in self.attempts)

    @property
    def resubmitted(self) -> bool:
        """It was repeated because a worker or node was lost."""
        return any(
            job.record.resubmission > 0 or job.record.status is JobStatus.LOST
            for job in self.attempts
        )

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Its outputs that exist by the record, those removed by design included."""
        if not self.done:
            return ()
        kinds = (FileKind.FILE, FileKind.DIRECTORY)
        return tuple(file for file in self.last.record.outputs if file.kind in kinds)


def label(job: JobHistory) -> str:
    """Return rule and wildcards of an attempt, for people to read."""
    spec = job.record.spec
    return " ".join((spec.rule, *(f"{name}={value}" for name, value in spec.wildcards.items())))


def is_called(job: JobHistory, name: str) -> bool:
    """Tell whether a rule, a rule with its wildcards, or the start of an id means an attempt."""
    if name in (job.record.spec.rule, label(job)):
        return True
    return len(name) >= MIN_PREFIX and job.record.id.startswith(name)


def outcomes(history: RunHistory) -> tuple[JobOutcome, ...]:
    """Return what became of every job: makers of files before their readers, else by name.

    Rules that only collect files (``rule all``) do nothing and are left out.
    """
    by_job: dict[tuple[str, tuple[tuple[str, str], ...]], list[JobHistory]] = {}
    for job in history.jobs:
        spec = job.record.spec
        if spec.kind == "norun" and not (job.record.outputs or spec.outputs):
            continue
        by_job.setdefault((spec.rule, tuple(sorted(spec.wildcards.items()))), []).append(job)
    jobs = (_outcome(history, tuple(attempts)) for attempts in by_job.values())
    return _in_order(sorted(jobs, key=lambda job: job.label))


def _in_order(jobs: list[JobOutcome]) -> tuple[JobOutcome, ...]:
    makers = {
        file.path: number
        for number, job in enumerate(jobs)
        for file in (*job.last.record.spec.outputs, *job.last.record.outputs)
    }
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for number, job in enumerate(jobs):
        inputs = (makers.get(file.path) for file in job.last.record.spec.inputs)
        sorter.add(number, *(n for n in inputs if n is not None and n != number))
    try:
        return tuple(jobs[number] for number in sorter.static_order())
    except graphlib.CycleError:
        return tuple(jobs)  # no workflow, but a record must be shown whatever it holds


def _outcome(history: RunHistory, attempts: tuple[JobHistory, ...]) -> JobOutcome:
    judged = not history.run.completeness
    succeeded = [job for job in attempts if job.record.status is JobStatus.SUCCEEDED]
    accepted = [
        job
        for job in succeeded
        if job.state is JobState.ACCEPTED or (not judged and job.state is JobState.RAN)
    ]
    if accepted:
        last = accepted[-1]
        return JobOutcome(attempts=attempts, last=last, result=_DONE[last.record.origin])
    last = attempts[-1]
    if last.state is JobState.INTERRUPTED:
        return JobOutcome(attempts=attempts, last=last, result=Result.INTERRUPTED)
    if last.state is JobState.RAN and last.record.status is JobStatus.SUCCEEDED:
        return JobOutcome(attempts=attempts, last=last, result=Result.UNCONFIRMED)
    return JobOutcome(attempts=attempts, last=last, result=Result.FAILED)
