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

_SLACK = 1e-6
"""Of a row: counts are whole numbers, their products with shares only nearly."""


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
        probabilistic: The scores are probabilities.
    """

    classes: tuple[Any, ...]
    truth: Ints
    scores: Floats
    fold: Ints
    group: Ints
    probabilistic: bool = False

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
        right = self.by_group((self.truth == self.predicted).astype(float))
        return ratio(weights @ right, weights @ self.by_group(np.ones(len(self.truth))))

    def balanced_accuracy(self, weights: Floats) -> Floats:
        """Return the mean over the classes of the share judged rightly.

        Not a number where a weighting leaves out a class.
        """
        recalls = []
        for code in range(len(self.classes)):
            members = self.truth == code
            right = self.by_group((members & (self.predicted == code)).astype(float))
            recalls.append(ratio(weights @ right, weights @ self.by_group(members.astype(float))))
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
        for chunk, ups, downs in self._tallies(code, weights):
            above = np.cumsum(ups, axis=1) - ups
            concordant[chunk] += (downs * (above + ups / 2)).sum(axis=1)
            pairs[chunk] += ups.sum(axis=1) * downs.sum(axis=1)
        return ratio(concordant, pairs)

    def average_precision(self, code: int, weights: Floats) -> Floats:
        """Return the average precision of one class against the others.

        It is the mean over the rows of the class of the precision where the row is found: of all
        rows whose score is as high or higher, judged by the same model, the share that belongs to
        the class. That is the area under the steps of the precision-recall curve, without the
        interpolation that makes it too large (Davis and Goadrich, ICML 2006), as in scikit-learn's
        ``average_precision_score``. Models that judged rows of one side only say nothing, as with
        ``auc``. Not a number where a weighting leaves no pair.
        """
        total = np.zeros(len(weights))
        rows = np.zeros(len(weights))
        for chunk, ups, downs in self._tallies(code, weights):
            found, precision = _precision(ups, downs)
            telling = (found[:, -1] > 0) & (downs.sum(axis=1) > 0)
            total[chunk] += telling * (ups * precision).sum(axis=1)
            rows[chunk] += telling * found[:, -1]
        return ratio(total, rows)

    def roc(self, code: int, grid: Floats, weights: Floats) -> Floats:
        """Return true positive rates at given false positive rates, (r, grid).

        With several models, the mean of their curves, each weighted by its pairs: the area under
        it is that of ``auc``.
        """
        total = np.zeros((len(weights), len(grid)))
        pairs = np.zeros(len(weights))
        for chunk, ups, downs in self._tallies(code, weights):
            for number, up, down in zip(
                range(len(weights))[chunk],
                np.pad(np.cumsum(ups, axis=1), ((0, 0), (1, 0))),
                np.pad(np.cumsum(downs, axis=1), ((0, 0), (1, 0))),
                strict=True,
            ):
                count = up[-1] * down[-1]
                if count > 0:
                    total[number] += count * np.interp(grid, down / down[-1], up / up[-1])
                    pairs[number] += count
        return ratio(total, pairs[:, np.newaxis])

    def precision_recall(self, code: int, grid: Floats, weights: Floats) -> Floats:
        """Return precisions at given recalls, (r, grid).

        The precision is that of the highest threshold with at least such a recall. With several
        models, the mean of their curves, each weighted by its rows of the class: the area under it
        is ``average_precision``.
        """
        total = np.zeros((len(weights), len(grid)))
        rows = np.zeros(len(weights))
        for chunk, ups, downs in self._tallies(code, weights):
            found, precision = _precision(ups, downs)
            for number, up, line, others in zip(
                range(len(weights))[chunk], found, precision, downs.sum(axis=1), strict=True
            ):
                if up[-1] > 0 and others > 0:
                    wanted = np.maximum(grid * up[-1] - _SLACK, _SLACK)
                    total[number] += up[-1] * line[np.searchsorted(up, wanted)]
                    rows[number] += up[-1]
        return ratio(total, rows[:, np.newaxis])

    def _tallies(self, code: int, weights: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield how many rows of a class, and of the others, have each score, the highest first.

        Once for each model and some of the weightings at a time: (chunk, scores) twice.
        """
        for rows in self._folds():
            _, bins = np.unique(-self.scores[rows, code], return_inverse=True)
            order = np.argsort(bins, kind="stable")
            starts = np.flatnonzero(np.diff(bins[order], prepend=-1))
            positive = (self.truth[rows] == code)[order]
            groups = self.group[rows][order]
            for chunk in _chunks(len(weights), len(order)):
                weight = weights[chunk][:, groups]
                ups = np.add.reduceat(weight * positive, starts, axis=1)
                downs = np.add.reduceat(weight * ~positive, starts, axis=1)
                yield chunk, ups, downs

    def _folds(self) -> Iterator[Ints]:
        for number in np.unique(self.fold):
            yield np.flatnonzero(self.fold == number)

    def by_group(self, values: Floats) -> Floats:
        """Return the sum of values of rows over each group, (g)."""
        return np.bincount(self.group, weights=values, minlength=self.groups).astype(np.float64)


def ratio(above: Floats, below: Floats) -> Floats:
    """Return a quotient, not a number where nothing is below."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _precision(ups: Floats, downs: Floats) -> tuple[Floats, Floats]:
    """Return the rows of the class found down to each score, and their share of all found."""
    found = np.cumsum(ups, axis=1)
    return found, np.nan_to_num(ratio(found, found + np.cumsum(downs, axis=1)))


def _chunks(length: int, width: int) -> Iterator[slice]:
    step = max(1, _CELLS // max(1, width))
    for start in range(0, length, step):
        yield slice(start, start + step)
