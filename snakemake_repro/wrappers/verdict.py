"""What an evaluation finds: scores with their intervals, and curves to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snakemake_repro.wrappers.calibration import brier_score, reliability
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.resampling import LEVEL, band, interval, resample
from snakemake_repro.wrappers.sample import Floats, Sample

_RECALLS = np.linspace(0, 1, 101)
_SCORES = (
    "roc_auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "brier_score",
    "expected_calibration_error",
)


def judge_sample(
    sample: Sample, positive: int | None, replicates: int, seed: int
) -> tuple[dict[str, Any], Floats]:
    """Return the report on judged rows, and the weightings of their groups behind it.

    The first weighting is the sample itself, the others are those of the bootstrap.

    Args:
        sample: The rows.
        positive: Number of the class to judge against the other; ``None`` to judge each of several
            against all others and to give the means.
        replicates: How many times to draw.
        seed: Of the drawings.

    Raises:
        WrapperError: There are too few groups to draw from, or a score is not defined.
    """
    drawn = resample(sample, replicates, seed)
    weights = np.vstack([np.ones(sample.groups), drawn.weights])
    codes = range(len(sample.classes)) if positive is None else [positive]
    auc = np.mean([sample.auc(code, weights) for code in codes], axis=0)
    counts = np.bincount(sample.truth, minlength=len(sample.classes))
    report = {
        "schema": 1,
        "rows": len(sample.truth),
        "groups": sample.groups,
        "folds": len(np.unique(sample.fold)),
        "counts": {str(n): int(c) for n, c in zip(sample.classes, counts, strict=True)},
        "majority_accuracy": float(counts.max() / counts.sum()),
        "roc_auc": _with_interval(auc),
        "accuracy": _with_interval(sample.accuracy(weights)),
        "balanced_accuracy": _with_interval(sample.balanced_accuracy(weights)),
        "confusion": sample.confusion().tolist(),
        "bootstrap": {
            "level": LEVEL,
            "replicates": replicates,
            "seed": seed,
            "stratified": drawn.stratified,
            "undefined": int(np.isnan(auc[1:]).sum()),
        },
    }
    report |= _precision_recall(sample, codes, weights) | _calibration(sample, codes, weights)
    return report, weights


def scores_of(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of a report by names that fit into one list."""
    flat = {"majority_accuracy": report["majority_accuracy"]}
    for name in _SCORES:
        if report[name] is not None:
            flat[name] = report[name]["value"]
            flat[f"{name}_low"] = report[name]["low"]
            flat[f"{name}_high"] = report[name]["high"]
    return flat


def _precision_recall(sample: Sample, codes: Sequence[int], weights: Floats) -> dict[str, Any]:
    means = {code: sample.average_precision(code, weights) for code in codes}
    curves = {}
    for code, mean in means.items():
        precision = sample.precision_recall(code, _RECALLS, weights)
        low, high = band(precision[1:])
        curves[str(sample.classes[code])] = {
            "average_precision": float(mean[0]),
            "share": float((sample.truth == code).mean()),
            "recall": _RECALLS.tolist(),
            "precision": precision[0].tolist(),
            "low": low.tolist(),
            "high": high.tolist(),
        }
    overall = np.mean(list(means.values()), axis=0)
    return {"average_precision": _with_interval(overall), "precision_recall": curves}


def _calibration(sample: Sample, codes: Sequence[int], weights: Floats) -> dict[str, Any]:
    """Return nothing by each name where scores are no probabilities."""
    if not sample.probabilistic:
        return dict.fromkeys(("brier_score", "expected_calibration_error", "calibration"))
    found = {code: reliability(sample, code, weights) for code in codes}
    curves = {}
    for code, curve in found.items():
        filled = curve.rows > 0
        low, high = band(curve.observed[1:, filled])
        curves[str(sample.classes[code])] = {
            "expected_calibration_error": float(curve.error[0]),
            "rows": curve.rows[filled].tolist(),
            "predicted": curve.predicted[0, filled].tolist(),
            "observed": curve.observed[0, filled].tolist(),
            "low": low.tolist(),
            "high": high.tolist(),
        }
    error = np.mean([curve.error for curve in found.values()], axis=0)
    return {
        "brier_score": _with_interval(brier_score(sample, codes, weights)),
        "expected_calibration_error": _with_interval(error),
        "calibration": curves,
    }


def _with_interval(values: Floats) -> dict[str, float]:
    if np.isnan(values[0]):
        raise WrapperError(
            "expected rows of every class in at least one of the tables, got none: "
            "the area under the ROC curve is not defined",
            hint="split the rows so that each table holds every class",
        )
    low, high = interval(values[1:])
    return {"value": float(values[0]), "low": low, "high": high}
