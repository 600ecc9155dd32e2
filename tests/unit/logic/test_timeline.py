"""The timeline shows attempts one by one, or how many there were at a time."""

from __future__ import annotations

import dataclasses

import pytest
from specs import PLACE

from snakemake_repro.logic.atlas import Atlas, JobPlace, Try
from snakemake_repro.logic.timeline import MOST_BARS, SLICES, timeline


def _job(rule: int, *when: tuple[float, float]) -> JobPlace:
    tries = (Try(start=start, end=end, succeeded=True) for start, end in when)
    return dataclasses.replace(PLACE, rule=rule, tries=tuple(tries))


def _atlas(*jobs: JobPlace) -> Atlas:
    return Atlas(runs=(), rules=("a", "b"), environments=(), files=(), jobs=jobs)


def test_attempts_that_overlap_lie_in_rows() -> None:
    times = timeline(_atlas(_job(1, (0, 5)), _job(1, (1, 2)), _job(1, (3, 4)), _job(0, (9, 10))))
    assert [(lane.rule, lane.rows) for lane in times.lanes] == [(1, 2), (0, 1)]
    assert [(bar.job, bar.row) for bar in times.lanes[0].bars] == [(0, 0), (1, 1), (2, 1)]
    assert (times.begin, times.end, times.untimed) == (0.0, 10, 0)


def test_jobs_without_times_are_counted() -> None:
    times = timeline(_atlas(_job(0)))
    assert (times.lanes, times.untimed, times.end) == ((), 1, 0.0)


def test_clocks_that_differ_move_the_beginning() -> None:
    assert timeline(_atlas(_job(0, (-3, 1)))).begin == -3


def test_of_many_the_number_at_a_time_is_shown() -> None:
    jobs = [_job(0, (number, number + 2)) for number in range(MOST_BARS + 1)]
    [lane] = timeline(_atlas(*jobs)).lanes
    assert (lane.bars, lane.rows, len(lane.heights)) == ((), 2, SLICES)
    assert max(lane.heights) == pytest.approx(2.0)
    total = sum(lane.heights) * (MOST_BARS + 2) / SLICES
    assert total == pytest.approx(2 * len(jobs))
