"""When the jobs of each rule were under way, as bars, or as heights where there are many."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Sequence

from snakemake_repro.logic.atlas import Atlas, Try

MOST_BARS = 400
"""Attempts that are shown one by one; of more the number at a time is shown."""
SLICES = 240
"""Parts that the time is cut into then."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One attempt; ``row`` counts those of its rule that overlap."""

    job: int
    when: Try
    row: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """The attempts of one rule.

    Attributes:
        rule: Its number.
        rows: Attempts at the same time at most.
        bars: Empty where there are too many in the run.
        heights: How many were under way in each slice of the time, on average; else empty.
    """

    rule: int
    rows: int
    bars: tuple[Bar, ...] = ()
    heights: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """All of them.

    Attributes:
        begin: Seconds from the run's beginning to the first attempt; negative where clocks differ.
        end: To the end of the last one.
        untimed: Jobs of which no time is on record.
    """

    begin: float
    end: float
    lanes: tuple[Lane, ...]
    untimed: int


def timeline(atlas: Atlas) -> Timeline:
    """Return the timeline of a run."""
    tries: dict[int, list[tuple[int, Try]]] = {}
    for number, job in enumerate(atlas.jobs):
        for when in job.tries:
            tries.setdefault(job.rule, []).append((number, when))
    every = [when for members in tries.values() for _, when in members]
    begin = min((0.0, *(when.start for when in every)))
    end = max((when.end for when in every), default=0.0)
    single = len(every) <= MOST_BARS
    lanes = []
    for rule, members in tries.items():
        members.sort(key=lambda item: (item[1].start, item[0]))
        bars = _bars(members)
        rows = 1 + max(bar.row for bar in bars)
        heights = () if single else _heights([when for _, when in members], begin, end)
        lanes.append(Lane(rule=rule, rows=rows, bars=bars if single else (), heights=heights))
    lanes.sort(key=lambda lane: (min(when.start for _, when in tries[lane.rule]), lane.rule))
    untimed = sum(not job.tries for job in atlas.jobs)
    return Timeline(begin=begin, end=end, lanes=tuple(lanes), untimed=untimed)


def _bars(members: Sequence[tuple[int, Try]]) -> tuple[Bar, ...]:
    """Give each attempt the first row in which nothing else is under way."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    bars = []
    for job, when in members:
        while busy and busy[0][0] <= when.start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        row = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (when.end, row))
        bars.append(Bar(job=job, when=when, row=row))
    return tuple(bars)


def _heights(tries: Sequence[Try], begin: float, end: float) -> tuple[float, ...]:
    width = (end - begin) / SLICES or 1.0
    heights = [0.0] * SLICES
    for when in tries:
        first = min(int((when.start - begin) / width), SLICES - 1)
        last = min(int((when.end - begin) / width), SLICES - 1)
        for number in range(first, last + 1):
            left = begin + number * width
            part = min(when.end, left + width) - max(when.start, left)
            heights[number] += max(part, 0.0) / width
    return tuple(heights)
