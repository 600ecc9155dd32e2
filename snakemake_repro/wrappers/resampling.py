"""Confidence intervals by the bootstrap, over whole groups of rows."""

from __future__ import annotations

import dataclasses

import numpy as np

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.sample import Floats, Sample

LEVEL = 0.95
_FEWEST = 2


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Resampling:
    """How often each group is drawn, for many drawings.

    Attributes:
        weights: (r, g)
        stratified: The groups were drawn class by class.
    """

    weights: Floats
    stratified: bool


def resample(sample: Sample, replicates: int, seed: int) -> Resampling:
    """Draw groups with replacement, as many as there are.

    Where every group belongs to one class (runs of one primary, say) they are drawn class by
    class, because their numbers were chosen and not found; else all together.

    Raises:
        WrapperError: There are too few groups to draw from.
    """
    of_class = _class_of_group(sample)
    strata = [np.arange(sample.groups)]
    if of_class is not None:
        strata = [np.flatnonzero(of_class == code) for code in np.unique(of_class)]
    for members in strata:
        if len(members) < _FEWEST:
            where = (
                "" if of_class is None else f" of class {sample.classes[of_class[members[0]]]!r}"
            )
            raise WrapperError(
                f"params: expected at least {_FEWEST} groups{where} to draw from, got one",
                hint="leave out group= to draw rows, or evaluate on more groups",
            )
    generator = np.random.default_rng(seed)
    weights = np.zeros((replicates, sample.groups))
    for members in strata:
        chances = np.full(len(members), 1 / len(members))
        weights[:, members] = generator.multinomial(len(members), chances, size=replicates)
    return Resampling(weights=weights, stratified=of_class is not None)


def interval(values: Floats) -> tuple[float, float]:
    """Return the percentile interval of resampled values, those that are undefined left out."""
    low, high = band(values)
    return float(low), float(high)


def band(curves: Floats) -> tuple[Floats, Floats]:
    """Return the percentile interval at each place of resampled curves, (r, n)."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(curves, [tail, 100 - tail], axis=0)
    return low, high


def _class_of_group(sample: Sample) -> np.ndarray | None:
    """Return the class of each group, or ``None`` where a group holds several."""
    low = np.full(sample.groups, len(sample.classes))
    high = np.full(sample.groups, -1)
    np.minimum.at(low, sample.group, sample.truth)
    np.maximum.at(high, sample.group, sample.truth)
    return low if np.array_equal(low, high) else None
