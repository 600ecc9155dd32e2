"""Whether probabilities mean what they say: Brier score, calibration error, reliability curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from snakemake_repro.wrappers.sample import Floats, Ints, Sample, ratio

BINS = 10
"""Of equal width; as in the sources of the calibration error."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reliability:
    """The reliability curve of one class: what was said in each bin, and what happened.

    Attributes:
        rows: (b) How many there are.
        predicted: (r, b) Mean probability, for each weighting; not a number in an empty bin.
        observed: (r, b) Share of the rows that belong to the class, likewise.
        error: (r) Expected calibration error.
    """

    rows: Ints
    predicted: Floats
    observed: Floats
    error: Floats


def brier_score(sample: Sample, codes: Sequence[int], weights: Floats) -> Floats:
    """Return the mean squared distance of probabilities from what happened, (r).

    Brier, Monthly Weather Review 78 (1950) 1; of one class of two the half of his sum, from 0 to 1
    and as in scikit-learn's ``brier_score_loss``, else the sum over all classes, from 0 to 2.

    Args:
        sample: Its scores are probabilities.
        codes: The positive class alone, or all classes.
        weights: (r, g)
    """
    squares = [(sample.scores[:, code] - (sample.truth == code)) ** 2 for code in codes]
    total = sample.by_group(np.sum(squares, axis=0))
    return ratio(weights @ total, weights @ sample.by_group(np.ones(len(sample.truth))))


def reliability(sample: Sample, code: int, weights: Floats) -> Reliability:
    """Return the reliability curve of one class, and its expected calibration error.

    The error is the mean over the rows of the distance between the mean probability of the row's
    bin and the share of the class there (Naeini, Cooper and Hauskrecht, AAAI 2015). The rows of all
    models are taken together: unlike scores, probabilities are on one scale.

    Args:
        sample: Its scores are probabilities.
        code: Number of the class.
        weights: (r, g)
    """
    said = sample.scores[:, code]
    # single precision may say a little more than 1
    bins = np.clip((said * BINS).astype(np.int64), 0, BINS - 1)
    inside = [(bins == number).astype(float) for number in range(BINS)]
    happened = (sample.truth == code).astype(float)
    count, chance, right = (
        weights @ np.stack([sample.by_group(here * values) for here in inside], axis=1)
        for values in (np.ones(len(said)), said, happened)
    )
    return Reliability(
        rows=np.bincount(bins, minlength=BINS),
        predicted=ratio(chance, count),
        observed=ratio(right, count),
        error=ratio(np.abs(chance - right).sum(axis=1), count.sum(axis=1)),
    )
