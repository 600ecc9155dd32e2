"""Rounds of Snakemake's scheduler: no more of them, and no more slowly, than a run has use for.

Both ways below touch what belongs to Snakemake; a scheduler that is built in another way is left
alone, and is right, but slower.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

_DEFAULT_RATE = (100, 1)
"""Snakemake's own ``--max-jobs-per-timespan``: jobs, seconds."""
_RATE_FLAGS = ("--max-jobs-per-timespan", "--max-jobs-per-second")


def merge_rounds(scheduler: Any) -> None:
    """Drop the calls for a round whose reasons the present one takes into account.

    Every job that ends wakes the scheduler once, and each time it looks through all jobs that are
    ready, though the first of these rounds has seen all that ended: a wide workflow spends more
    time in such rounds than on its jobs. To be called from ``handle_job_success``, where the
    scheduler holds the lock under which ends are reported: whatever woke it before is dealt with
    in this round, errors included.
    """
    calls = getattr(scheduler, "_open_jobs", None)
    if isinstance(calls, threading.Semaphore):
        while calls.acquire(blocking=False):
            pass


def lift_default_rate(workflow: Any, argv: Sequence[str]) -> None:
    """Submit as many jobs per second as there are, unless the user wants fewer.

    Snakemake's default spares the schedulers of clusters, which take a command for each job. It is
    also the reason why a run ends a second late: a timer waits for each round.

    Args:
        workflow: Snakemake's, between the choice of jobs and the next round.
        argv: The command line; the default asked for by name stays.
    """
    rate = workflow.scheduling_settings.max_jobs_per_timespan
    scheduler = workflow.scheduler
    if rate is None or (rate.max_jobs, rate.timespan) != _DEFAULT_RATE:
        return
    if any(arg.startswith(_RATE_FLAGS) for arg in argv):
        return
    if getattr(scheduler, "job_rate_limiter", None) and "_job_count" in scheduler.resources:
        scheduler.job_rate_limiter = None
        scheduler.resources["_job_count"] = sys.maxsize
