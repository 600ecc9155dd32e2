"""What the metrics of a run look like: one plot per rule and metric."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from typing import TypeVar

from snakemake_repro.logic.atlas import Atlas
from snakemake_repro.records import Metric

_T = TypeVar("_T")

MOST_LINES = 40
"""Jobs whose steps one plot shows."""
MOST_STEPS = 200
"""Points of one line."""
LARGEST = 1e150
"""Beyond it, positions in a plot cannot be computed."""
_FEWEST_JOBS = 3
"""With fewer a table says as much."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """The last values of one metric of a rule's jobs.

    Attributes:
        values: In the order of the jobs.
        lines: What single jobs reported step by step, as points; empty where no job did.
        stepping: Jobs that reported steps.
    """

    rule: int
    metric: str
    values: tuple[float, ...]
    lines: tuple[tuple[tuple[float, float], ...], ...] = ()
    stepping: int = 0

    @property
    def median(self) -> float:
        """Of the values."""
        return statistics.median(self.values)

    @property
    def drawn(self) -> bool:
        """There is something to see in a plot."""
        points = (point for line in self.lines for point in line)
        if max(map(abs, (*self.values, *itertools.chain(*points)))) > LARGEST:
            return False
        return bool(self.lines) or (len(self.values) >= _FEWEST_JOBS and len(set(self.values)) > 1)


def spreads(atlas: Atlas) -> tuple[Spread, ...]:
    """Return the metrics of a run, by rule and name; values that are not finite are left out."""
    reported: dict[tuple[int, str], list[tuple[tuple[float, float], ...]]] = {}
    for job in atlas.jobs:
        for name, points in _by_name(job.metrics).items():
            reported.setdefault((job.rule, name), []).append(points)
    return tuple(
        _spread(rule, metric, series) for (rule, metric), series in sorted(reported.items())
    )


def _by_name(metrics: Sequence[Metric]) -> dict[str, tuple[tuple[float, float], ...]]:
    """Return the points of each metric of one job, in the order of steps."""
    names: dict[str, list[Metric]] = {}
    for metric in metrics:
        if math.isfinite(metric.value) and abs(metric.step) < LARGEST:
            names.setdefault(metric.name, []).append(metric)
    return {
        name: tuple(
            (float(metric.step), metric.value)
            for metric in sorted(members, key=lambda metric: (metric.step, metric.timestamp))
        )
        for name, members in names.items()
    }


def _spread(rule: int, metric: str, series: Sequence[tuple[tuple[float, float], ...]]) -> Spread:
    stepping = [points for points in series if points[0][0] != points[-1][0]]
    return Spread(
        rule=rule,
        metric=metric,
        values=tuple(points[-1][1] for points in series),
        lines=tuple(
            tuple(_thinned(points, MOST_STEPS)) for points in _thinned(stepping, MOST_LINES)
        ),
        stepping=len(stepping),
    )


def _thinned(items: Sequence[_T], most: int) -> Iterator[_T]:
    """Yield at most so many of the items, evenly, the first and the last among them."""
    if len(items) <= most:
        yield from items
        return
    for number in range(most):
        yield items[round(number * (len(items) - 1) / (most - 1))]
