"""Which attempt really made what a run stands for: its own, or one of an earlier run."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping

from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.outcomes import JobOutcome, Result
from snakemake_repro.records import EnvironmentRecord, JobRecord, Metric


class Age(enum.Enum):
    """Whether a result comes from this run."""

    NEW = "new"
    REUSED = "reused"
    UNRECORDED = "unrecorded"
    """It was there before, and no recorded job wrote these bytes."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """The attempt of an earlier run that really made a file which this run reused."""

    run_id: str
    job_id: str
    at: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A job whose results stand, and the attempt that really made them.

    Attributes:
        job: As this run sees it.
        record: The attempt that did the work: of an earlier run for a reused job, where known.
        environment: That it ran in.
        history: The run that it belongs to.
        age: ``UNRECORDED`` where the attempt is not on record.
    """

    job: JobOutcome
    record: JobRecord
    environment: EnvironmentRecord | None
    history: RunHistory
    age: Age

    @property
    def run_id(self) -> str:
        """The run that did the work."""
        return self.history.run.id


def makers_of(
    history: RunHistory,
    jobs: Iterable[JobOutcome],
    earlier: Mapping[str, Earlier],
    runs: Mapping[str, RunHistory],
) -> tuple[Made, ...]:
    """Return every job of a run whose results stand, with the attempt that really made them.

    Args:
        history: The run.
        jobs: Its outcomes.
        earlier: For paths that this run reused, who made them.
        runs: The earlier runs named there.
    """
    return tuple(_made(history, jobs, earlier, runs))


def _made(
    history: RunHistory,
    jobs: Iterable[JobOutcome],
    earlier: Mapping[str, Earlier],
    runs: Mapping[str, RunHistory],
) -> Iterator[Made]:
    attempts = {
        (run_id, job.record.id): job.record for run_id, run in runs.items() for job in run.jobs
    }
    for job in jobs:
        if not job.done:
            continue
        record, source, age = job.last.record, history, Age.NEW
        if job.result is Result.REUSED:
            age = Age.UNRECORDED
            first = next((earlier[file.path] for file in job.files if file.path in earlier), None)
            if first is not None:
                record, source = attempts[first.run_id, first.job_id], runs[first.run_id]
                age = Age.REUSED
        environment = source.environment(record.spec.environment)
        yield Made(job=job, record=record, environment=environment, history=source, age=age)


def last_metrics(metrics: Iterable[Metric]) -> tuple[tuple[Metric, int], ...]:
    """Return the last value of each metric of a job, and how many values were reported."""
    steps: dict[str, int] = {}
    latest: dict[str, Metric] = {}
    for metric in metrics:
        steps[metric.name] = steps.get(metric.name, 0) + 1
        known = latest.get(metric.name)
        if known is None or (metric.step, metric.timestamp) >= (known.step, known.timestamp):
            latest[metric.name] = metric
    return tuple((metric, steps[name]) for name, metric in latest.items())
