"""Layers and models of Keras, its model file, and what makes Keras repeat itself."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snakemake_repro.canonical.zips import rewrite_keras
from snakemake_repro.wrappers.families.networks import (
    ACTIVATIONS,
    KERAS_MEMBER,
    Scaling,
    Settings,
    dump_modules,
    require_suffix,
    seeded,
)
from snakemake_repro.wrappers.problems import WrapperError

BACKENDS = ("torch", "tensorflow")
"""The default first."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """What is left of a training.

    Attributes:
        model: Takes rows as they are in the table, and scales them itself.
        layers: Those with weights or an activation between scaled rows and the result, in order.
        activation: Of the hidden ones.
    """

    model: Any
    layers: Sequence[Any]
    activation: str


def load_keras(backend: str) -> Any:
    """Return Keras on a backend, imported without the settings that a user has in a file.

    Raises:
        WrapperError: The backend is not installed, or Keras runs on another one already.
    """
    if "keras" not in sys.modules:
        if importlib.util.find_spec(backend) is None:
            raise WrapperError(
                f"params: expected a backend= that the environment has, got {backend!r}, which is "
                "not installed",
                hint=f"choose one of {', '.join(BACKENDS)}, and add it to the environment",
            )
        with tempfile.TemporaryDirectory(prefix="repro-") as home:
            _import_keras(KERAS_BACKEND=backend, KERAS_HOME=home)
    import keras

    if keras.backend.backend() != backend:
        raise WrapperError(
            f"params: expected Keras on the backend= {backend!r}, got it on "
            f"{keras.backend.backend()!r}: it was imported before",
        )
    return keras


def _import_keras(**variables: str) -> None:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own debts, and its backend's
            import keras  # noqa: F401 - this is what reads the variables
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def repeatable(backend: str, settings: Settings) -> Iterator[Any]:
    """Give Keras on a CPU with everything random seeded, and deterministic algorithms only.

    PyTorch, NumPy and Python are as before afterwards; TensorFlow cannot be set back.

    Raises:
        WrapperError: As ``load_keras``.
        RuntimeError: TensorFlow is at work already with another number of threads.
    """
    keras = load_keras(backend)
    # names of layers count up in a process, and stand in the file
    keras.utils.clear_session(free_memory=False)
    with _backend(backend, settings), keras.device("cpu"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own debts: how it asks PyTorch for arrays
        keras.utils.set_random_seed(settings.seed)
        yield keras


@contextlib.contextmanager
def _backend(backend: str, settings: Settings) -> Iterator[None]:
    if backend == "torch":
        from snakemake_repro.wrappers.families import torch_modules

        with torch_modules.repeatable(settings):
            yield
        return
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != settings.threads:
        tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    with seeded(settings.seed):
        yield


def hidden_layers(widths: Sequence[int], settings: Settings, *, name: str) -> list[Any]:
    """Return hidden layers, each with its activation and dropout behind it."""
    from keras import layers

    found: list[Any] = []
    for place, width in enumerate(widths, 1):
        found += [
            layers.Dense(width, name=f"{name}_{place}"),
            layers.Activation(settings.activation, name=f"{name}_{place}_{settings.activation}"),
        ]
        if settings.dropout:
            found.append(layers.Dropout(settings.dropout, name=f"{name}_{place}_dropout"))
    return found


def chained(values: Any, layers: Sequence[Any]) -> Any:
    """Return what layers make of a tensor, one after the other."""
    for layer in layers:
        values = layer(values)
    return values


def scaled(scaling: Scaling) -> Any:
    """Return the layer that scales rows as they are in the table."""
    from keras import layers

    return layers.Normalization(
        mean=scaling.mean.tolist(), variance=np.square(scaling.deviation).tolist(), name="scaling"
    )


def learn(
    model: Any, rows: Any, target: Any, settings: Settings, *, weight: Any, valid: Any
) -> Mapping[str, Sequence[float]]:
    """Train a compiled model; return what it reports by epoch, by Keras's names."""
    history = model.fit(
        rows,
        target,
        sample_weight=weight,
        validation_data=valid,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        verbose=0,
    )
    found: Mapping[str, Sequence[float]] = history.history
    return found


def optimiser(settings: Settings) -> Any:
    """Return AdamW."""
    from keras.optimizers import AdamW

    return AdamW(settings.learning_rate, weight_decay=settings.weight_decay)


def dump_fitted(fitted: Fitted, scaling: Scaling, about: Mapping[str, Any], path: str) -> bytes:
    """Return a model as a file of Keras, the same bytes for the same model.

    Beside Keras's own members it has one with the same weights that needs no Keras to be read.

    Args:
        fitted: The model.
        scaling: Of its features and target.
        about: Names of features and classes.
        path: Where the content will go.

    Raises:
        WrapperError: The path has another suffix than ``.keras``.
    """
    require_suffix(path, ".keras", "a model of Keras")
    with tempfile.TemporaryDirectory(prefix="repro-") as directory, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        modules, tensors = _modules(fitted)
        plain = dump_modules(scaling, about, modules, tensors)
        place = Path(directory, "model.keras")
        fitted.model.save(place)
        with zipfile.ZipFile(place, "a") as archive:
            archive.writestr(KERAS_MEMBER, plain)
        target = io.BytesIO()
        with place.open("rb") as source:
            rewrite_keras(source, target)
    return target.getvalue()


def _modules(fitted: Fitted) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return layers as modules of PyTorch, and their weights in its shapes."""
    from keras import layers

    modules: list[dict[str, Any]] = []
    tensors: dict[str, Any] = {}
    for layer in fitted.layers:
        place = len(modules)
        if isinstance(layer, layers.Dense):
            kernel, bias = layer.get_weights()
            tensors[f"{place}.weight"] = np.ascontiguousarray(kernel.T)
            tensors[f"{place}.bias"] = bias
            modules.append({"kind": "Linear"})
        elif isinstance(layer, layers.Activation):
            modules.append({"kind": ACTIVATIONS[fitted.activation]})
    return modules, tensors
