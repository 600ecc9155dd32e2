"""Rounds of Snakemake's scheduler."""

from __future__ import annotations

import inspect
import sys
import threading
from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan

from snakemake_repro.backends.snakemake_rounds import lift_default_rate, merge_rounds


def _workflow(rate: MaxJobsPerTimespan | None) -> SimpleNamespace:
    limiter = None if rate is None else JobRateLimiter(rate)
    return SimpleNamespace(
        scheduling_settings=SimpleNamespace(max_jobs_per_timespan=rate),
        scheduler=SimpleNamespace(job_rate_limiter=limiter, resources={"_job_count": 36}),
    )


def test_one_round_takes_all_jobs_that_ended_before_it() -> None:
    scheduler = SimpleNamespace(_open_jobs=threading.Semaphore(7))
    merge_rounds(scheduler)
    assert not scheduler._open_jobs.acquire(blocking=False)
    scheduler._open_jobs.release()
    assert scheduler._open_jobs.acquire(blocking=False)


def test_a_scheduler_that_is_built_in_another_way_is_left_alone() -> None:
    merge_rounds(SimpleNamespace())
    merge_rounds(SimpleNamespace(_open_jobs=threading.Event()))


def test_this_snakemake_is_built_as_rounds_need_it() -> None:
    source = inspect.getsource(JobScheduler)
    assert "self._open_jobs = threading.Semaphore(0)" in source
    assert "self.job_rate_limiter is None" in source


def test_the_default_rate_is_lifted() -> None:
    default = get_argument_parser().get_default("max_jobs_per_timespan")
    workflow = _workflow(MaxJobsPerTimespan.parse_choice(default))
    lift_default_rate(workflow, ["snakemake", "--jobs", "4"])
    assert workflow.scheduler.job_rate_limiter is None
    assert workflow.scheduler.resources["_job_count"] == sys.maxsize


@pytest.mark.parametrize(
    ("rate", "argv"),
    [
        ("5/1s", ["snakemake"]),
        ("100/1s", ["snakemake", "--max-jobs-per-timespan=100/1s"]),
        ("100/1s", ["snakemake", "--max-jobs-per-second", "100"]),
    ],
)
def test_a_rate_that_the_user_asks_for_stays(rate: str, argv: list[str]) -> None:
    workflow = _workflow(MaxJobsPerTimespan.parse_choice(rate))
    lift_default_rate(workflow, argv)
    assert workflow.scheduler.job_rate_limiter is not None
    assert workflow.scheduler.resources["_job_count"] == 36


def test_where_there_is_no_rate_nothing_changes() -> None:
    workflow = _workflow(None)
    lift_default_rate(workflow, ["snakemake"])
    assert workflow.scheduler.resources["_job_count"] == 36
