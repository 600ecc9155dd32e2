"""How well a model does on rows whose answer is known: the numbers of the train wrappers."""

from __future__ import annotations

from typing import Any

import numpy as np

from snakemake_repro.wrappers.models import Model

_BINARY = 2


def score(model: Model, rows: Any, truth: Any) -> dict[str, float]:
    """Return the scores of a model; those that the rows leave undefined are left out.

    Args:
        model: What to judge.
        rows: Table of features.
        truth: The right answers, classes as the model names them.
    """
    output = model.output(rows)
    if model.classes is None:
        return _regression(np.asarray(truth, np.float64), output)
    return _classification(
        model.classes, np.asarray(truth), output, probabilistic=model.probabilistic
    )


def _classification(
    names: tuple[Any, ...], truth: Any, output: Any, *, probabilistic: bool
) -> dict[str, float]:
    from sklearn import metrics

    index = {name: number for number, name in enumerate(names)}
    # a class that the model never saw is a row that it cannot get right
    codes = np.array([index.get(value, -1) for value in truth.tolist()])
    right = codes == output.argmax(axis=1)
    present = np.unique(codes)
    scores = {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[codes == code].mean() for code in present])),
    }
    if -1 not in present and len(present) > 1:
        if len(names) == _BINARY:
            scores["roc_auc"] = float(metrics.roc_auc_score(codes, output[:, 1]))
        if probabilistic:
            scores["log_loss"] = _log_loss(codes, output)
    return scores


def _log_loss(codes: Any, output: Any) -> float:
    """Return the mean surprise at the right answers, in nats."""
    # libraries that compute in single precision give sums near one
    chances = output[np.arange(len(codes)), codes] / output.sum(axis=1)
    return float(-np.log(np.maximum(chances, np.finfo(np.float64).eps)).mean())


def _regression(truth: Any, output: Any) -> dict[str, float]:
    from sklearn import metrics

    scores = {
        "mae": float(metrics.mean_absolute_error(truth, output)),
        "rmse": float(np.sqrt(metrics.mean_squared_error(truth, output))),
    }
    if len(truth) > 1:
        scores["r2"] = float(metrics.r2_score(truth, output))
    return scores
