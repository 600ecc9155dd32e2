"""Read the model files that the train wrappers write, whichever library made them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snakemake_repro.wrappers.families import lightgbm as lightgbm_family
from snakemake_repro.wrappers.families import networks
from snakemake_repro.wrappers.families import xgboost as xgboost_family
from snakemake_repro.wrappers.problems import WrapperError

Scores = npt.NDArray[np.float64]

_TAIL = 64


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A fitted model.

    Attributes:
        features: Names of the columns it wants, in order; ``None`` where it does not know.
        classes: What it tells apart, in the order of its scores; ``None`` for numbers.
        probabilistic: The scores are probabilities.
        output: Gives for a table of n rows n numbers, or n times as many scores as classes, or as
            many numbers as columns.
        columns: Names of the numbers that describe a row, where the model makes several; the last
            one is the error. ``None`` where it predicts.
    """

    features: tuple[str, ...] | None
    classes: tuple[Any, ...] | None
    probabilistic: bool
    output: Callable[[Any], Scores]
    columns: tuple[str, ...] | None = None


def load_model(path: str) -> Model:
    """Return a model from its file.

    A scikit-learn model is a pickle: reading it runs code that its writer chose. Read only models
    that you or your workflow made.

    Raises:
        WrapperError: It is none of our train wrappers' models.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as exc:
        raise WrapperError(f"{path}: expected a model, got: {exc.strerror}") from exc
    return parse_model(data, path)


def parse_model(data: bytes, path: str) -> Model:
    """Return a model from its file's content.

    Raises:
        WrapperError: It is none of our train wrappers' models.
    """
    # a length of eight bytes, then JSON; its first byte may be any, the others' as well
    if data[6:9] == b"\0\0{":
        return _modules(data, path)
    if data.startswith(b"PK"):
        return _keras(data, path)
    if data.startswith(b"{"):
        return _xgboost(data, path)
    if data.startswith(b"tree"):
        return _lightgbm(data, path)
    if data.startswith(b"\x80"):
        return _scikit_learn(data, path)
    raise WrapperError(
        f"{path}: expected a model of one of our train wrappers, "
        f"got a file that begins with {data[:8]!r}",
        hint="give the model= of one of these wrappers",
    )


def _xgboost(data: bytes, path: str) -> Model:
    import xgboost

    # the key that comes last; XGBoost reads past the end of a file that is cut off
    if b"version" not in data[-_TAIL:] or not data.endswith(b"}"):
        raise _damaged(path, "XGBoost", "it is cut off")
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(data))
    except ValueError as exc:
        raise _damaged(path, "XGBoost", exc) from exc
    about = _about(booster.attr(xgboost_family.ABOUT), path, "xgboost/train")
    best = booster.attr("best_iteration")
    rounds = (0, 0) if best is None else (0, int(best) + 1)

    def output(rows: Any) -> Scores:
        matrix = xgboost.DMatrix(rows)
        return np.asarray(booster.predict(matrix, iteration_range=rounds), np.float64)

    return _boosted(about, output)


def _lightgbm(data: bytes, path: str) -> Model:
    import lightgbm

    text = data.decode(errors="replace")
    # LightGBM reads past the end of a file that is cut off
    if not all(f"\n{end}\n" in text for end in ("end of trees", "end of parameters")):
        raise _damaged(path, "LightGBM", "it is cut off")
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as exc:
        raise _damaged(path, "LightGBM", exc) from exc
    lines = [line for line in text.splitlines() if line.startswith(lightgbm_family.ABOUT)]
    line = lines[0].removeprefix(lightgbm_family.ABOUT) if lines else None
    about = _about(line, path, "lightgbm/train")

    def output(rows: Any) -> Scores:
        return np.asarray(booster.predict(rows.to_numpy(), num_threads=1), np.float64)

    return _boosted(about, output)


def _scikit_learn(data: bytes, path: str) -> Model:
    import io

    import joblib  # type: ignore[import-untyped]

    try:
        estimator = joblib.load(io.BytesIO(data))
    except Exception as exc:  # a damaged pickle can raise anything
        raise _damaged(path, "scikit-learn", exc) from exc
    names = getattr(estimator, "feature_names_in_", None)
    classes = getattr(estimator, "classes_", None)
    probabilistic = classes is not None and hasattr(estimator, "predict_proba")

    def output(rows: Any) -> Scores:
        if classes is None:
            return np.asarray(estimator.predict(rows), np.float64)
        if probabilistic:
            return np.asarray(estimator.predict_proba(rows), np.float64)
        return _two_columns(np.asarray(estimator.decision_function(rows), np.float64))

    return Model(
        features=None if names is None else tuple(map(str, names)),
        classes=None if classes is None else tuple(classes.tolist()),
        probabilistic=probabilistic,
        output=output,
    )


def _keras(data: bytes, path: str) -> Model:
    """Return a model of Keras, which is not needed to judge rows with it."""
    import io
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            plain = archive.read(networks.KERAS_MEMBER)
    except KeyError:
        raise _unnamed(path, "keras/train") from None
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as exc:
        raise _damaged(path, "Keras", exc) from exc
    return _modules(plain, path)


def _modules(data: bytes, path: str) -> Model:
    """Return a network of modules, whose library is not needed to judge rows with it."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
        # the format's own: a length of eight bytes, and a JSON object with the metadata in it
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError) as exc:
        raise _damaged(path, "PyTorch", exc) from exc
    text = header.get("__metadata__", {}).get(networks.ABOUT)
    about = _about(text, path, "pytorch/train")

    classes = about["classes"]
    scaling = networks.scaling_in(about)
    if "encoder" in about:
        return _autoencoder(about, tensors)

    def output(rows: Any) -> Scores:
        values = networks.forward(about["modules"], tensors, scaling.features(rows))
        if classes is None:
            mean, deviation = scaling.target
            return values[:, 0] * deviation + mean
        return networks.softmax(values)

    return Model(
        features=tuple(about["features"]),
        classes=None if classes is None else tuple(classes),
        probabilistic=classes is not None,
        output=output,
    )


def _autoencoder(about: Mapping[str, Any], tensors: Mapping[str, Any]) -> Model:
    """Return what describes a row by its latent numbers and the error of its reconstruction.

    The error is the mean square over the scaled features.
    """
    scaling, encoder = networks.scaling_in(about), about["encoder"]

    def output(rows: Any) -> Scores:
        scaled = scaling.features(rows)
        codes = networks.forward(about["modules"][:encoder], tensors, scaled)
        again = networks.forward(about["modules"], tensors, codes, first=encoder)
        return np.column_stack([codes, np.square(again - scaled).mean(axis=1)])

    latent = (f"latent_{place + 1}" for place in range(about["latent"]))
    return Model(
        features=tuple(about["features"]),
        classes=None,
        probabilistic=False,
        output=output,
        columns=(*latent, "reconstruction_error"),
    )


def _boosted(about: Mapping[str, Any], raw: Callable[[Any], Scores]) -> Model:
    """Return a model of either library of boosted trees."""
    classes = about["classes"]

    def output(rows: Any) -> Scores:
        values = raw(rows)
        if classes is None or values.ndim > 1:
            return values
        return np.column_stack([1 - values, values])

    return Model(
        features=tuple(about["features"]),
        classes=None if classes is None else tuple(classes),
        probabilistic=classes is not None,
        output=output,
    )


def _two_columns(scores: Scores) -> Scores:
    """Give each of two classes its score where the estimator scores only the second."""
    return scores if scores.ndim > 1 else np.column_stack([-scores, scores])


def _about(text: str | None, path: str, wrapper: str) -> Mapping[str, Any]:
    if text is None:
        raise _unnamed(path, wrapper)
    about: Mapping[str, Any] = json.loads(text)
    return about


def _unnamed(path: str, wrapper: str) -> WrapperError:
    return WrapperError(
        f"{path}: expected a model that names its features and classes, got one without",
        hint=f"train it with {wrapper}",
    )


def _damaged(path: str, library: str, reason: object) -> WrapperError:
    return WrapperError(
        f"{path}: expected a model of {library}, got a file that cannot be read as one: {reason}",
        hint="train it again, with the same versions of the libraries",
    )
