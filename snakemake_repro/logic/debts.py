"""What a reproducibility debt is, and which kinds there are."""

from __future__ import annotations

import dataclasses

CODES = (
    "not-under-git",
    "no-commit",
    "dirty-tree",
    "unpinned-environment",
    "no-seed",
    "foreign-bytes",
    "undeclared",
    "integrity",
    "unexplained-tolerance",
    "incomplete-record",
)
"""Stable names of the kinds of debt."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Debt:
    """One reason why a result may not come out the same again.

    Attributes:
        code: Stable name of the kind of debt.
        message: What was found, in one line.
        remedy: How to pay it.
        jobs: How many jobs it concerns; 0 where it concerns the run as a whole.
        examples: A few of them.
        run_id: The earlier run whose results are reused with this debt; ``None`` for the run
            itself.
    """

    code: str
    message: str
    remedy: str
    jobs: int = 0
    examples: tuple[str, ...] = ()
    run_id: str | None = None
