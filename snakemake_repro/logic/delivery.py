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

    Attributes:
        sizes: Journal file name -> bytes of it that were delivered completely.
        states: Attempt id -> its state when it was delivered.
        intent: Attempts whose delivery began and may have been cut off.
        finished: The run is over and everything of it is there.
    """

    run_id: str
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    states: Mapping[str, str] = dataclasses.field(default_factory=dict)
    intent: tuple[str, ...] = ()
    finished: bool = False


def wanted(history: RunHistory, job: JobHistory) -> bool:
    """Tell whether an attempt gets a run of its own in the tracking store."""
    policy = history.run.mlflow_runs
    if policy == "auto":
        count = max(history.run.job_count or 0, len(history.jobs))
        policy = "all" if count <= MANY_JOBS else "tracked"
    if policy == "tracked":
        return bool(job.record.metrics)
    return policy == "all"


def undelivered(history: RunHistory, delivery: Delivery, *, over: bool) -> list[JobHistory]:
    """Return the attempts to deliver now, in their order.

    While a run goes on, an attempt waits for Snakemake's verdict; when it is over, none is to
    come. What was delivered is delivered again when its state has changed since.
    """
    return [
        job
        for job in history.jobs
        if wanted(history, job)
        and (over or job.state is not JobState.RAN)
        and delivery.states.get(job.record.id) != job.state.value
    ]
