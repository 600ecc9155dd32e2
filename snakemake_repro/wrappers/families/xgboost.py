"""Gradient-boosted trees of XGBoost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.wrappers.families.base import (
    Curves,
    Learner,
    is_classification,
)
from snakemake_repro.wrappers.families.shares import Place
from snakemake_repro.wrappers.problems import WrapperError, check_names

ABOUT = "snakemake_repro"
"""Attribute of the booster that names its features and classes."""

_REGRESSIONS = ("reg:", "count:", "survival:")
_UNSUPPORTED = ("callbacks", "feature_types", "enable_categorical", "feature_weights")
_FORMATS = {".json": "json", ".ubj": "ubj"}


class XGBoost:
    """XGBoost's classifier or regressor, by the type of the target."""

    trainer = "xgboost"

    def learner(self, own: Mapping[str, Any], target: Any, *, seed: int, threads: int) -> Learner:
        """Return an unfitted model."""
        import xgboost

        given = dict(own)
        weight = given.pop("class_weight", None)
        classifier = is_classification(target, given.get("objective"), _REGRESSIONS)
        kind = xgboost.XGBClassifier if classifier else xgboost.XGBRegressor
        known = [name for name in kind().get_params() if name not in _UNSUPPORTED]
        check_names(given, sorted([*known, "class_weight"]), f"xgboost.{kind.__name__}")
        settings = {"random_state": seed, "n_jobs": threads, "verbosity": 1} | given
        return Learner(
            name=f"xgboost.{kind.__name__}",
            estimator=kind(**settings),
            classifier=classifier,
            encode=True,
            class_weight=weight,
        )

    def fit(self, estimator: Any, rows: Any, target: Any, weight: Any, valid: Any) -> Curves:
        """Fit a model and return how it did on the validation rows after each round."""
        watched = None if valid is None else [valid]
        estimator.fit(rows, target, sample_weight=weight, eval_set=watched, verbose=False)
        if valid is None:
            return {}
        found = estimator.evals_result()["validation_0"]
        return {f"valid_{name}": values for name, values in found.items()}

    def fit_share(
        self, estimator: Any, rows: Any, target: Any, weight: Any, valid: Any, *, place: Place
    ) -> tuple[Any, Curves]:
        """Fit a model to this worker's rows; XGBoost adds up what the workers find in theirs."""
        mine = place.dealt(target)
        weights = None if weight is None else weight[mine]
        return estimator, self.fit(estimator, rows.iloc[mine], target[mine], weights, valid)

    def dump(self, estimator: Any, about: Mapping[str, Any], path: str) -> bytes:
        """Return the model in XGBoost's own format."""
        suffix = Path(path).suffix
        if suffix not in _FORMATS:
            raise WrapperError(
                f"output: {path}: expected a name that ends in {' or '.join(_FORMATS)}, "
                "the formats of an XGBoost model",
                hint="rename the output model=",
            )
        booster = estimator.get_booster()
        booster.set_attr(**{ABOUT: json.dumps(about, sort_keys=True)})
        return bytes(booster.save_raw(_FORMATS[suffix]))
