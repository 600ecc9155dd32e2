"""What of a run has reached the tracking store, and what is still on its way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from snakemake_repro.logic.history import JobHistory, RunHistory
from snakemake_repro.records import JobState, Record

MANY_JOBS = 2_000
"""Up to this many jobs each gets a run of its own where the user leaves the choice to us."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Delivery(Record):
    """How far the delivery of one run has come; the recorder's own notes.

    They may be behind what is there, never ahead: what they do not know of is looked for in the
    tracking store before it is made.

    Attributes:
        uri: Where it goes, without credentials.
        sizes: Journal file name -> bytes of it that were delivered completely.
        lineage: Bytes of the journal that were delivered as lineage.
        marks: Attempt id -> ``mark_of`` it as it was delivered.
        skipped: Attempts that get no run of their own.
        mlflow_run: Its identifier there.
        finished: The run is over, and everything of it is there.
    """

    run_id: str
    uri: str | None = None
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    lineage: int = 0
    marks: Mapping[str, str] = dataclasses.field(default_factory=dict)
    skipped: int = 0
    mlflow_run: str | None = None
    finished: bool = False


def mark_of(job: JobHistory) -> str:
    """Return what tells apart an attempt before and after a later journal line."""
    late = sum(1 for file in job.record.outputs if file.digest is not None)
    return f"{job.state.value} {late} {len(job.removed)}"


def wanted(history: RunHistory, job: JobHistory) -> bool:
    """Tell whether an attempt gets a run of its own in the tracking store."""
    policy = history.run.mlflow_runs
    if policy == "auto":
        count = max(history.run.job_count or 0, len(history.jobs))
        policy = "all" if count <= MANY_JOBS else "tracked"
    if policy == "tracked":
        return bool(job.record.metrics or job.record.artifacts)
    return policy == "all"


def undelivered(history: RunHistory, delivery: Delivery, *, over: bool) -> list[JobHistory]:
    """Return the attempts to deliver now, in their order.

    While a run goes on, an attempt waits for Snakemake's verdict; when it is over, none is to
    come. What was delivered is delivered again when a later line changed it.
    """
    return [
        job
        for job in history.jobs
        if wanted(history, job)
        and (over or job.state is not JobState.RAN)
        and delivery.marks.get(job.record.id) != mark_of(job)
    ]


def skipped(history: RunHistory) -> int:
    """Count the attempts that get no run of their own."""
    return sum(1 for job in history.jobs if not wanted(history, job))
