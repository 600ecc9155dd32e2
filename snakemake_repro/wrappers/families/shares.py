"""How the rows of one training are dealt to workers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from snakemake_repro.wrappers.problems import WrapperError, listed


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Which of several workers this is.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    def dealt(self, target: Any) -> Any:
        """Return the numbers of the rows that this worker learns from, in rising order.

        Rows are dealt in turn in the order of their target, so that every worker sees every class
        that has as many rows as there are workers, and numbers of all sizes.

        Args:
            target: (n) What to predict, classes as numbers.
        """
        order = np.argsort(np.asarray(target), kind="stable")
        return np.sort(order[self.rank :: self.count])


def check_enough(target: Any, count: int, *, classifier: bool, path: str) -> None:
    """Check that every worker gets rows, of every class.

    Args:
        target: Column to predict.
        count: Of workers.
        classifier: It holds classes.
        path: Where the rows come from, for the message.

    Raises:
        WrapperError: There are not enough.
    """
    if len(target) < count:
        raise WrapperError(
            f"{path}: expected at least as many rows as num_workers={count}, got {len(target)}",
            hint="lower num_workers=",
        )
    if not classifier:
        return
    sizes = target.value_counts()
    few = [f"{name} has {size}" for name, size in sorted(sizes[sizes < count].items())]
    if few:
        raise WrapperError(
            f"{path}: expected rows of every class for each of num_workers={count}, "
            f"got too few: {listed(few)}",
            hint="lower num_workers=",
        )
