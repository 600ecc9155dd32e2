"""Which part of a split each row goes to, by chance but for the shares that are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from snakemake_repro.wrappers.sample import Floats, Ints

_DIGITS = 9
"""Costs that agree to so many digits are equal, however a processor orders its sums."""


def deal(
    size: int,
    shares: Sequence[float],
    *,
    groups: Ints | None,
    classes: Ints | None,
    seed: int,
) -> Ints:
    """Return the number of the part that each row goes to.

    Rows are dealt as by scikit-learn's ``ShuffleSplit``, with classes ``StratifiedShuffleSplit``,
    with groups ``GroupShuffleSplit``: the last part is held out first, each part but the first
    gets its share of the rows (or of the groups) rounded up, and the first gets what is left.

    scikit-learn has nothing for groups and classes at once. Then groups are dealt one by one, in
    random order but the largest first (as in its ``StratifiedGroupKFold``), each to the part where
    it lowers most the chi-square distance between the rows of each class that the parts have and
    those that they should have; no part goes without a class that has groups enough for all.

    Args:
        size: How many rows there are.
        shares: Of each part; their sum is 1.
        groups: (size) Number of each row's group, 0 to g - 1.
        classes: (size) Number of each row's class, 0 to k - 1.
        seed: Of everything random.

    Raises:
        ValueError: There are too few rows, groups or rows of a class.
    """
    if groups is None:
        return _shuffled(size, shares, classes, seed)
    units = int(groups.max()) + 1
    if classes is None:
        return _shuffled(units, shares, None, seed)[groups]
    width = int(classes.max()) + 1
    counts = np.bincount(groups * width + classes, minlength=units * width)
    return _by_need(counts.reshape(units, width), np.array(shares), seed)[groups]


def _shuffled(size: int, shares: Sequence[float], classes: Ints | None, seed: int) -> Ints:
    from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

    kind = ShuffleSplit if classes is None else StratifiedShuffleSplit
    part = np.zeros(size, np.int64)
    left = np.arange(size)
    for number in reversed(range(1, len(shares))):
        splitter = kind(1, test_size=math.ceil(shares[number] * size), random_state=seed)
        labels = None if classes is None else classes[left]
        kept, held_out = next(splitter.split(left, labels))
        part[left[held_out]] = number
        left = left[kept]
    return part


def _by_need(counts: Ints, shares: Floats, seed: int) -> Ints:
    """Return the part of each group from its rows of each class, (g, k)."""
    order = np.random.default_rng(seed).permutation(len(counts))
    # of groups of one size, those of a single class come first: the mixed ones fit in anywhere
    order = order[np.argsort(-np.linalg.norm(counts[order], axis=1), kind="stable")]
    wanted = np.outer(shares, counts.sum(axis=0))
    dealt = np.zeros_like(wanted)
    left = (counts > 0).sum(axis=0)
    part = np.zeros(len(counts), np.int64)
    for group in order:
        rows = counts[group]
        cost = (rows * (rows + 2 * (dealt - wanted)) / wanted).sum(axis=1).round(_DIGITS)
        cost[~_allowed(rows, dealt, left)] = np.inf
        part[group] = cost.argmin()
        dealt[part[group]] += rows
        left -= rows > 0
    return part


def _allowed(rows: Ints, dealt: Floats, left: Ints) -> np.ndarray:
    """Say which parts a group may go to, so that its classes reach the parts that lack them.

    Args:
        rows: (k) Of each class in the group.
        dealt: (p, k) Of each class in the parts so far.
        left: (k) Groups with each class that are still to be dealt, this one among them.
    """
    allowed = np.ones(len(dealt), dtype=bool)
    for code in np.flatnonzero(rows):
        lacking = dealt[:, code] == 0
        if left[code] <= lacking.sum() and (allowed & lacking).any():
            allowed &= lacking
    return allowed
