"""Two runs compared: where they first part, why, and what follows from it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from snakemake_repro.logic.change import Change, FileChange
from snakemake_repro.logic.outcomes import Result


class Likeness(enum.Enum):
    """What comparing two runs came to."""

    IDENTICAL = "identical"
    """The same results, and nothing that determines them differs."""
    SAME_RESULTS = "same results"
    """Something differs, and every output is the same for all that, or counts as the same."""
    DIFFERENT = "different"
    UNDECIDED = "undecided"
    """No difference was found, but not every output can be compared."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunHead:
    """What tells one run from another."""

    run_id: str
    started: str
    status: str | None
    commit: str | None
    dirty: bool | None
    versions: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A difference that does not follow from another one.

    Attributes:
        change: What differs.
        jobs: The jobs that have it.
        outputs: What they wrote that is not the same.
        beside: For nondeterminism, what else differs and may explain it: host, seeds.
    """

    change: Change
    jobs: tuple[str, ...]
    outputs: tuple[FileChange, ...]
    beside: tuple[Change, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """Jobs of one rule of which nothing differs but inputs that other jobs made.

    Attributes:
        differing: How many of them wrote something else.
    """

    rule: str
    jobs: int
    differing: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NotDone:
    """A job that came out in one of the runs only."""

    job: str
    old: Result | None
    new: Result | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MetricChange:
    """A metric whose last value is not the same; ``None`` where it was not reported."""

    job: str
    name: str
    old: float | None
    new: float | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How two runs differ.

    Attributes:
        same: Jobs of which nothing differs.
        findings: Makers of files before their readers: the first is where the runs part.
        not_compared: Jobs with outputs whose digest is not on record.
        tolerated: Outputs whose bytes differ, and that count as the same as their rules declare.
    """

    likeness: Likeness
    old: RunHead
    new: RunHead
    same: int
    findings: tuple[Finding, ...]
    following: tuple[Following, ...]
    not_done: tuple[NotDone, ...]
    not_compared: tuple[str, ...]
    tolerated: tuple[FileChange, ...]
    metrics: tuple[MetricChange, ...]
