"""What the libraries for neural networks share: settings, scaling, and a file for perceptrons."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.families.base import Learner, is_classification
from snakemake_repro.wrappers.problems import WrapperError, check_names, listed

Floats = npt.NDArray[np.float64]

ABOUT = "snakemake_repro"
"""Key of a model file's metadata that names its features, classes and modules."""

KERAS_MEMBER = "snakemake_repro.safetensors"
"""Member of a model file of Keras that says the same as the file, for who has no Keras."""

ACTIVATIONS: Mapping[str, str] = {
    "relu": "ReLU",
    "elu": "ELU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
}
"""Those that mean the same in every library, and that ``predict`` knows -> PyTorch's class."""

DEFAULTS: Mapping[str, Any] = {
    "hidden": (64, 64),
    "activation": "relu",
    "dropout": 0.0,
    "epochs": 50,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a network is built and trained.

    Attributes:
        hidden: Width of each hidden layer.
        activation: One of ``ACTIVATIONS``.
        dropout: Share of each hidden layer's outputs that training leaves out.
        epochs: How often training sees all rows.
        batch_size: Rows per step.
        learning_rate: Of the optimiser.
        weight_decay: Of the optimiser, decoupled from the learning rate as in AdamW.
        seed: Of first weights, order of rows and dropout.
        threads: For the arithmetic. Sums of floating-point numbers depend on it.
    """

    hidden: tuple[int, ...]
    activation: str
    dropout: float
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    threads: int


@dataclasses.dataclass(kw_only=True, slots=True)
class Network:
    """A network that is still to be fitted, or is.

    Attributes:
        settings: How.
        classifier: It predicts classes, not numbers.
        fitted: What the library made of it; ``None`` before.
        scaling: How its features and target were scaled; ``None`` before.
    """

    settings: Settings
    classifier: bool
    fitted: Any = None
    scaling: Scaling | None = None

    def __sklearn_clone__(self) -> Network:
        """Return an unfitted one with the same settings."""
        return Network(settings=self.settings, classifier=self.classifier)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """Means and standard deviations of the rows that a network learned from.

    Attributes:
        mean: (f) Of each feature.
        deviation: (f) Of each feature; 1 where it is constant.
        target: Mean and standard deviation of a target of numbers; 0 and 1 for classes.
    """

    mean: Floats
    deviation: Floats
    target: tuple[float, float]

    def features(self, rows: Any) -> npt.NDArray[np.float32]:
        """Return rows (n, f) with mean 0 and deviation 1, in single precision."""
        scaled: npt.NDArray[np.float32] = (
            (rows.to_numpy(np.float64) - self.mean) / self.deviation
        ).astype(np.float32)
        return scaled

    def targets(self, target: Any, *, classifier: bool) -> npt.NDArray[Any]:
        """Return classes as whole numbers (n), or numbers scaled, in single precision (n, 1)."""
        if classifier:
            return np.asarray(target, np.int64)
        mean, deviation = self.target
        return ((np.asarray(target, np.float64) - mean) / deviation).astype(np.float32)[:, None]


def network_learner(
    own: Mapping[str, Any],
    target: Any,
    *,
    name: str,
    seed: int,
    threads: int,
    others: Sequence[str] = (),
) -> Learner:
    """Return an unfitted network for a target column.

    Args:
        own: Its parameters.
        target: The column.
        name: Of the learner.
        seed: Of everything random.
        threads: For the arithmetic.
        others: Names of parameters that the library reads by itself.

    Raises:
        WrapperError: There is no such parameter, or it has no such value.
    """
    check_names(own, sorted([*DEFAULTS, "class_weight", *others]), name)
    classifier = is_classification(target, None, ())
    settings = settings_of(own, DEFAULTS, seed=seed, threads=threads)
    return Learner(
        name=name,
        estimator=Network(settings=settings, classifier=classifier),
        classifier=classifier,
        encode=True,
        class_weight=own.get("class_weight"),
    )


def settings_of(
    own: Mapping[str, Any], defaults: Mapping[str, Any], *, seed: int, threads: int
) -> Settings:
    """Return how a network is built and trained, from its parameters or else the defaults.

    Raises:
        WrapperError: A parameter has no such value.
    """
    merged = {**defaults, **own}
    return Settings(
        hidden=_widths(merged["hidden"]),
        activation=_activation(merged["activation"]),
        dropout=number(merged, "dropout", below=1.0),
        epochs=requests.whole(merged, "epochs", default=1, low=1),
        batch_size=requests.whole(merged, "batch_size", default=1, low=2),
        learning_rate=number(merged, "learning_rate"),
        weight_decay=number(merged, "weight_decay"),
        seed=seed,
        threads=threads,
    )


def number(params: Mapping[str, Any], name: str, *, below: float = np.inf) -> float:
    """Return a parameter that is a number of at least 0.

    Raises:
        WrapperError: It is something else, or too large.
    """
    value = params[name]
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < below:
        return float(value)
    limits = "of at least 0" if below == np.inf else f"from 0 to below {below:g}"
    raise WrapperError(f"params: expected a number {limits} as {name}=, got {value!r}")


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators of Python and NumPy; afterwards they go on from where they were."""
    random_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - as above
        yield
    finally:
        random.setstate(random_state)
        np.random.set_state(numpy_state)  # noqa: NPY002 - as above


def scaling_of(rows: Any, target: Any, *, classifier: bool) -> Scaling:
    """Return means and standard deviations of the rows to learn from.

    Raises:
        ValueError: A value is missing or not finite.
    """
    values = rows.to_numpy(np.float64)
    if not np.isfinite(values).all():
        strange = [str(n) for n, c in zip(rows.columns, values.T, strict=True) if _strange(c)]
        raise ValueError(f"expected numbers in every row, got none in {listed(strange)}")
    deviation = values.std(axis=0)
    scale = (0.0, 1.0)
    if not classifier:
        numbers = np.asarray(target, np.float64)
        scale = (float(numbers.mean()), float(numbers.std()) or 1.0)
    return Scaling(
        mean=values.mean(axis=0),
        deviation=np.where(deviation > 0, deviation, 1.0),
        target=scale,
    )


def weights_of_classes(target: Any, weight: Any) -> Floats | None:
    """Return the weight of each class (k), given that of each row; ``None`` where all are alike."""
    if weight is None:
        return None
    codes = np.asarray(target)
    first = np.unique(codes, return_index=True)[1]
    found: Floats = np.asarray(weight, np.float64)[first]
    return found


def require_suffix(path: str, suffix: str, what: str) -> None:
    """Check the name of a model's file.

    Raises:
        WrapperError: It ends in something else.
    """
    if Path(path).suffix != suffix:
        raise WrapperError(
            f"output: {path}: expected a name that ends in {suffix}, the format of {what}",
            hint="rename the output model=",
        )


def described(scaling: Scaling, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model's file says about it, besides its weights.

    The scaling stands there as decimal numbers that are read back exactly.
    """
    return {
        **about,
        "mean": scaling.mean.tolist(),
        "deviation": scaling.deviation.tolist(),
        "target": list(scaling.target),
    }


def scaling_in(about: Mapping[str, Any]) -> Scaling:
    """Return the scaling that a model's file describes."""
    mean, deviation = about["target"]
    return Scaling(
        mean=np.array(about["mean"]),
        deviation=np.array(about["deviation"]),
        target=(mean, deviation),
    )


def dump_modules(
    scaling: Scaling,
    about: Mapping[str, Any],
    modules: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, npt.NDArray[Any]],
) -> bytes:
    """Return a perceptron as a safetensors file.

    Args:
        scaling: Of its features and target.
        about: Names of features and classes; of an autoencoder also ``encoder``, how many of the
            modules encode.
        modules: In order, each by the name of PyTorch's class (``kind``).
        tensors: Named and shaped as in a ``torch.nn.Sequential`` of these modules.
    """
    from safetensors.numpy import save

    text = json.dumps({**described(scaling, about), "modules": modules}, sort_keys=True)
    # one entry only: those of several have no fixed order in the file
    return bytes(save(dict(tensors), metadata={ABOUT: text}))


def forward(
    modules: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, Any],
    rows: Any,
    *,
    first: int = 0,
) -> Floats:
    """Return what the modules of a perceptron make of scaled rows (n, f), in double precision.

    Args:
        modules: In order.
        tensors: Of these modules.
        rows: Scaled.
        first: Number of the module to begin with.

    Raises:
        KeyError: A tensor is missing, or a module is none that we write.
    """

    def tensor(place: int, name: str) -> Floats:
        return np.asarray(tensors[f"{place}.{name}"], np.float64)

    values = np.asarray(rows, np.float64)
    for place, module in enumerate(modules[first:], first):
        kind = module["kind"]
        if kind == "Linear":
            values = values @ tensor(place, "weight").T
            if module.get("bias", True):
                values = values + tensor(place, "bias")
        elif kind == "BatchNorm1d":
            scale = np.sqrt(tensor(place, "running_var") + module["eps"])
            values = (values - tensor(place, "running_mean")) / scale
            values = values * tensor(place, "weight") + tensor(place, "bias")
        else:
            values = _ACTIVATIONS[kind](values)
    return values


def softmax(scores: Floats) -> Floats:
    """Return probabilities of classes (n, k) from their logarithms up to a constant."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found


_ACTIVATIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "ReLU": lambda x: np.maximum(x, 0.0),
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
    "Tanh": np.tanh,
    "Sigmoid": lambda x: 0.5 * (1.0 + np.tanh(0.5 * x)),
}


def _strange(values: Floats) -> bool:
    return not np.isfinite(values).all()


def _widths(value: object) -> tuple[int, ...]:
    if isinstance(value, list | tuple) and all(type(width) is int and width > 0 for width in value):
        return tuple(value)
    raise WrapperError(
        f"params: expected a list of whole numbers above 0 as hidden=, got {value!r}",
        hint="such as hidden=[64, 64]",
    )


def _activation(value: object) -> str:
    if value in ACTIVATIONS:
        return str(value)
    raise WrapperError(
        f"params: expected one of {listed(ACTIVATIONS)} as activation=, got {value!r}"
    )
