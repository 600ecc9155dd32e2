"""Gradient-boosted trees of LightGBM."""

from __future__ import annotations

import json
import re
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

ABOUT = "snakemake_repro:"
"""Begins the line of the model file that names its features and classes."""

_END = "end of parameters\n"
_NETWORK = {"num_machines": "1", "machines": "", "local_listen_port": "12400"}
"""Parameters that say where workers were, by chance -> their defaults."""

_REGRESSIONS = (
    *("regression", "l1", "l2", "mean_", "mae", "mse", "rmse", "root_mean", "huber", "fair"),
    *("poisson", "quantile", "mape", "gamma", "tweedie"),
)


class LightGBM:
    """LightGBM's classifier or regressor, by the type of the target."""

    trainer = "lightgbm"

    def learner(self, own: Mapping[str, Any], target: Any, *, seed: int, threads: int) -> Learner:
        """Return an unfitted model that gives the same trees for any number of threads."""
        import lightgbm

        given = dict(own)
        weight = given.pop("class_weight", None)
        classifier = is_classification(target, given.get("objective"), _REGRESSIONS)
        kind = lightgbm.LGBMClassifier if classifier else lightgbm.LGBMRegressor
        known = {*kind().get_params(), *_native_names(), "early_stopping_rounds"}
        check_names(given, sorted(known), f"lightgbm.{kind.__name__}")
        settings = {
            "random_state": seed,
            "n_jobs": threads,
            "verbosity": -1,
            "deterministic": True,
            "force_row_wise": not given.get("force_col_wise", False),
        }
        return Learner(
            name=f"lightgbm.{kind.__name__}",
            estimator=kind(**(settings | given)),
            classifier=classifier,
            encode=True,
            class_weight=weight,
        )

    def fit(self, estimator: Any, rows: Any, target: Any, weight: Any, valid: Any) -> Curves:
        """Fit a model and return how it did on the validation rows after each round."""
        from lightgbm.basic import LightGBMError

        watched = {} if valid is None else {"eval_X": valid[0], "eval_y": valid[1]}
        try:
            estimator.fit(rows, target, sample_weight=weight, **watched)
        except LightGBMError as exc:
            raise ValueError(exc) from exc
        if valid is None:
            return {}
        found = estimator.evals_result_["valid_0"]
        return {f"valid_{name}": values for name, values in found.items()}

    def fit_share(
        self, estimator: Any, rows: Any, target: Any, weight: Any, valid: Any, *, place: Place
    ) -> tuple[Any, Curves]:
        """Fit a model to this worker's rows; LightGBM adds up what the workers find in theirs."""
        from ray.train.lightgbm import get_network_params

        mine = place.dealt(target)
        weights = None if weight is None else weight[mine]
        given = estimator.get_params()
        estimator.set_params(
            **get_network_params(),
            tree_learner=given.get("tree_learner", "data"),
            pre_partition=True,
        )
        return estimator, self.fit(estimator, rows.iloc[mine], target[mine], weights, valid)

    def dump(self, estimator: Any, about: Mapping[str, Any], path: str) -> bytes:
        """Return the model in LightGBM's own text format, with one line more at its end."""
        if Path(path).suffix != ".txt":
            raise WrapperError(
                f"output: {path}: expected a name that ends in .txt, "
                "the format of a LightGBM model",
                hint="rename the output model=",
            )
        text = estimator.booster_.model_to_string()
        for name, default in _NETWORK.items():
            text = re.sub(rf"^\[{name}: .*\]$", f"[{name}: {default}]", text, flags=re.MULTILINE)
        head, end, tail = text.partition(_END)
        # LightGBM reads no further than the end of the parameters
        line = f"\n{ABOUT}{json.dumps(about, sort_keys=True)}\n"
        return f"{head}{end}{line}{tail}".encode()


def _native_names() -> list[str]:
    """Return the names of LightGBM's own parameters, as its model files list them."""
    import lightgbm
    import numpy as np

    data = lightgbm.Dataset(np.zeros((2, 1)), label=np.zeros(2), params={"verbosity": -1})
    text = lightgbm.train({"verbosity": -1, "num_threads": 1}, data, 1).model_to_string()
    return re.findall(r"^\[(\w+):", text[text.index("\nparameters:") :], re.MULTILINE)
