"""Models in MLflow's format, saved inside a job: for ``client``, which must do without MLflow.

This module runs in whatever environment the job has: where there is MLflow, there are the packages
that it needs, and not necessarily others.
"""

from __future__ import annotations

import importlib
import inspect
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FLAVOURS = {
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "keras": "keras",
    "torch": "pytorch",
    "sklearn": "sklearn",
}
"""Top package of one of the model's classes -> MLflow's flavour."""

_FORMATS = {
    # MLflow's default, skops, refuses forests, and whatever is not scikit-learn's own
    "sklearn": "cloudpickle",
    "lightgbm": "cloudpickle",
    # its default, pt2, traces the model with an example, and loses what depends on the input
    "pytorch": "pickle",
}
_FORMAT = "serialization_format"

_UNCHECKED = "mlflow ; python_version < '0'"
"""A requirement that MLflow takes for its own, and has no reason to look for."""

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


def save_model(model: Any, path: Path, example: Any = None) -> str:
    """Save a trained model with the exact environment that it needs.

    The requirements are every distribution of this interpreter at its version, which in a pinned
    environment is the lock. MLflow's own way is to load the model in another process and look at
    what that imports, which takes up to half a minute.

    Args:
        model: Of scikit-learn, XGBoost, LightGBM, Keras or PyTorch.
        path: A directory that is not there yet.
        example: Rows that the model takes. The saved model is loaded and predicts them, and its
            signature follows from that; without, it has none.

    Returns:
        MLflow's name of the flavour.

    Raises:
        ImportError: The environment has no MLflow.
        TypeError: The model is of no kind that can be saved.
    """
    flavour = _flavour(model)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns of its own type hints
            module = importlib.import_module(f"mlflow.{flavour}")
            from mlflow.models import Model, infer_signature
            from mlflow.pyfunc import load_model
    except ImportError as exc:
        raise ImportError(
            f"a model can be logged where MLflow is installed: {exc}; add mlflow-skinny to the "
            "environment of the rule, or log the model's own file with log_artifact"
        ) from exc
    options: dict[str, Any] = {"path": str(path), "pip_requirements": [_UNCHECKED]}
    if flavour in _FORMATS and _FORMAT in inspect.signature(module.save_model).parameters:
        options[_FORMAT] = _FORMATS[flavour]  # earlier versions know one only
    module.save_model(model, **options)
    if example is not None:
        signature = infer_signature(example, load_model(str(path)).predict(example))
        saved = Model.load(str(path))
        saved.signature = signature
        saved.save(str(path / "MLmodel"))
    _require(path, sorted(_requirements()))
    return flavour


def _flavour(model: Any) -> str:
    """Return the flavour of the first class among the model's that has one.

    An ``XGBClassifier`` is an estimator of scikit-learn as well, but later.
    """
    for kind in type(model).__mro__:
        flavour = _FLAVOURS.get(kind.__module__.partition(".")[0])
        if flavour is not None:
            return flavour
    name = f"{type(model).__module__}.{type(model).__qualname__}"
    raise TypeError(f"expected a model of {', '.join(sorted(_FLAVOURS))}, got {name}")


def _require(path: Path, requirements: list[str]) -> None:
    """Give a saved model its requirements, in both files of MLflow's *Model Format*.

    Told to MLflow they would be compared with what is installed, at saving and at loading again,
    which takes seconds for a few hundred.
    """
    import yaml

    (path / "requirements.txt").write_text("\n".join(requirements), encoding="utf-8")
    file = path / "conda.yaml"
    conda = yaml.safe_load(file.read_text(encoding="utf-8"))
    conda["dependencies"] = [
        {"pip": requirements} if isinstance(entry, dict) else entry
        for entry in conda["dependencies"]
    ]
    file.write_text(yaml.safe_dump(conda, sort_keys=False), encoding="utf-8")


def _requirements() -> Iterator[str]:
    """Yield what is installed, but for what has no version that others could get."""
    from snakemake_repro.backends.environments.distributions import distributions

    for name, version, distribution in distributions():
        if distribution.read_text("direct_url.json") is None:
            yield f"{name}=={version}"
