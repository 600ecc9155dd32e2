"""Judged rows, and the scores of any weighting of their groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CELLS = 2_000_000
"""Numbers to hold at once while many weightings are worked off."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """n rows with the right answer and what a model said, k classes.

    Attributes:
        classes: Names of the classes.
        truth: (n) Number of the right class.
        scores: (n, k) Score of each class.
        fold: (n) Number of the model that judged the row. Scores of different models are never
            compared with each other.
        group: (n) Number of the group that the row belongs to, 0 to g - 1.
    """

    classes: tuple[Any, ...]
    truth: Ints
    scores: Floats
    fold: Ints
    group: Ints

    @property
    def predicted(self) -> Ints:
        """The number of the class with the highest score."""
        named: Ints = self.scores.argmax(axis=1)
        return named

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group.max()) + 1

    def confusion(self) -> Ints:
        """Return the number of rows by right class (rows) and named class (columns)."""
        size = len(self.classes)
        pairs = self.truth * size + self.predicted
        return np.bincount(pairs, minlength=size * size).reshape(size, size)

    def accuracy(self, weights: Floats) -> Floats:
        """Return the share of rows judged rightly, for each weighting of the groups.

        Args:
            weights: (r, g)
        """
        right = self._by_group((self.truth == self.predicted).astype(float))
        return _ratio(weights @ right, weights @ self._by_group(np.ones(len(self.truth))))

    def balanced_accuracy(self, weights: Floats) -> Floats:
        """Return the mean over the classes of the share judged rightly.

        Not a number where a weighting leaves out a class.
        """
        recalls = []
        for code in range(len(self.classes)):
            members = self.truth == code
            right = self._by_group((members & (self.predicted == code)).astype(float))
            recalls.append(_ratio(weights @ right, weights @ self._by_group(members.astype(float))))
        mean: Floats = np.stack(recalls).mean(axis=0)
        return mean

    def auc(self, code: int, weights: Floats) -> Floats:
        """Return the area under the ROC curve of one class against the others.

        It is the share of pairs (one row of the class, one of another, both judged by the same
        model) in which the first has the higher score; ties count half. Not a number where a
        weighting leaves no pair.
        """
        concordant = np.zeros(len(weights))
        pairs = np.zeros(len(weights))
        for rows in self._folds():
            _, bins = np.unique(self.scores[rows, code], return_inverse=True)
            order = np.argsort(bins, kind="stable")
            starts = np.flatnonzero(np.diff(bins[order], prepend=-1))
            positive = (self.truth[rows] == code)[order]
            groups = self.group[rows][order]
            for chunk in _chunks(len(weights), len(order)):
                weight = weights[chunk][:, groups]
                ups = np.add.reduceat(weight * positive, starts, axis=1)
                downs = np.add.reduceat(weight * ~positive, starts, axis=1)
                below = np.cumsum(downs, axis=1) - downs
                concordant[chunk] += (ups * (below + downs / 2)).sum(axis=1)
                pairs[chunk] += ups.sum(axis=1) * downs.sum(axis=1)
        return _ratio(concordant, pairs)

    def roc(self, code: int, grid: Floats, weights: Floats) -> Floats:
        """Return true positive rates at given false positive rates, (r, grid).

        With several models, the mean of their curves, each weighted by its pairs: the area under
        it is that of ``auc``.
        """
        total = np.zeros((len(weights), len(grid)))
        pairs = np.zeros(len(weights))
        for rows in self._folds():
            order = np.argsort(-self.scores[rows, code], kind="stable")
            ranked = self.scores[rows, code][order]
            ends = np.flatnonzero(np.diff(ranked, append=-np.inf))
            positive = (self.truth[rows] == code)[order]
            groups = self.group[rows][order]
            for number, weight in enumerate(weights):
                here = weight[groups]
                ups = np.concatenate([[0.0], np.cumsum(here * positive)[ends]])
                downs = np.concatenate([[0.0], np.cumsum(here * ~positive)[ends]])
                count = ups[-1] * downs[-1]
                if count > 0:
                    curve = np.interp(grid, downs / downs[-1], ups / ups[-1])
                    total[number] += count * curve
                    pairs[number] += count
        return _ratio(total, pairs[:, np.newaxis])

    def _folds(self) -> Iterator[Ints]:
        for number in np.unique(self.fold):
            yield np.flatnonzero(self.fold == number)

    def _by_group(self, values: Floats) -> Floats:
        return np.bincount(self.group, weights=values, minlength=self.groups).astype(np.float64)


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _chunks(length: int, width: int) -> Iterator[slice]:
    step = max(1, _CELLS // max(1, width))
    for start in range(0, length, step):
        yield slice(start, start + step)
