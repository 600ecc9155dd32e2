"""Ended trials, and which of them is the best."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.wrappers.tuning.events import Record


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """An ended trial.

    Attributes:
        chosen: What the sampler chose, by the names of the dimensions.
        params: What the trial was given.
        state: ``complete``, ``pruned`` or ``failed``.
        measured: One for each objective; of a pruned trial, its last one where it has any.
        steps: Intermediate values, up to the one that it was pruned for.
        directory: Of its own; gone unless it is the best.
    """

    number: int
    chosen: Mapping[str, Any]
    params: Mapping[str, Any]
    state: str
    measured: tuple[float, ...] | None
    steps: tuple[tuple[int, float], ...]
    problem: str | None
    directory: Path


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How a search went.

    Attributes:
        tried: All trials in the order in which they count as ended.
        resumed: Trials that an earlier, killed search had done.
        reason: Why it ended: ``trials``, ``time``, ``patience`` or ``grid``.
        record: The order of what happened; ``None`` in batches, which need none.
    """

    tried: tuple[Tried, ...]
    resumed: int
    reason: str
    record: Record | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        tried: All trials in the order of their numbers.
        best: The best one, or those that no other beats in every objective; the earliest first.
        study: Optuna's.
        course: How it went.
    """

    tried: tuple[Tried, ...]
    best: tuple[Tried, ...]
    study: Any
    course: Course


def lasted(found: Found) -> Iterator[Tried]:
    """Yield the trials that came to their end."""
    return (one for one in found.tried if one.state == "complete")


def by_number(tried: Sequence[Tried]) -> tuple[Tried, ...]:
    """Return trials in the order in which they were asked for."""
    return tuple(sorted(tried, key=lambda one: one.number))


def best_of(objectives: Sequence[tuple[str, str]], tried: Sequence[Tried]) -> tuple[Tried, ...]:
    """Return the best trial, or all that no other beats where there are several objectives.

    Args:
        objectives: Names with directions.
        tried: Any trials; the lowest number wins among equals.
    """
    complete = [one for one in by_number(tried)
                if one.state == "complete" and one.measured is not None]  # fmt: skip
    signs = [1 if direction == "minimize" else -1 for _, direction in objectives]
    costs = [tuple(s * v for s, v in zip(signs, one.measured or (), strict=True))
             for one in complete]  # fmt: skip
    if len(signs) == 1:
        return (complete[costs.index(min(costs))],) if complete else ()
    return tuple(
        one
        for one, cost in zip(complete, costs, strict=True)
        if not any(_dominates(other, cost) for other in costs)
    )


def stale(patience: int | None, tried: Sequence[Tried], best: Sequence[Tried]) -> bool:
    """Return whether so many trials ended after the best one that a search gives up."""
    if patience is None or not best:
        return False
    ended = [one.number for one in tried]
    return len(ended) - 1 - ended.index(best[0].number) >= patience


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
