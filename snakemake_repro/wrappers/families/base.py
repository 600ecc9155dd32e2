"""What a library must be able to do for a train wrapper."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from snakemake_repro.wrappers.families.shares import Place

Curves = Mapping[str, Sequence[float]]
"""Values of a metric after each round of training, by a name such as ``valid_logloss``."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """A model that is still to be fitted.

    Attributes:
        name: Dotted name of the estimator, several joined by `` > ``.
        estimator: With scikit-learn's interface; never fitted itself, only copies of it.
        classifier: It predicts classes, not numbers.
        encode: It wants classes as numbers from 0.
        class_weight: How to weigh rows by their class where the library cannot: ``balanced`` or a
            mapping of classes to weights.
    """

    name: str
    estimator: Any
    classifier: bool
    encode: bool
    class_weight: Any = None


class Family(Protocol):
    """One library."""

    def learner(self, own: Mapping[str, Any], target: Any, *, seed: int, threads: int) -> Learner:
        """Return an unfitted model for a target column.

        Raises:
            WrapperError: There is no such estimator or parameter.
        """
        ...

    def fit(self, estimator: Any, rows: Any, target: Any, weight: Any, valid: Any) -> Curves:
        """Fit an estimator.

        Args:
            estimator: Changed in place.
            rows: Table of features.
            target: What to predict.
            weight: Weight of each row, or ``None``.
            valid: Pair of rows and target to follow the training with, or ``None``.

        Raises:
            ValueError: The library refuses a parameter or the rows; other exceptions of Python's
                own may come out of it as well.
        """
        ...

    def dump(self, estimator: Any, about: Mapping[str, Any], path: str) -> bytes:
        """Return a fitted model as a file's content, the same bytes for the same model.

        Args:
            estimator: Fitted.
            about: Names of features and classes, stored in the model where it has none itself.
            path: Where the content will go; its suffix may choose the format.

        Raises:
            WrapperError: The suffix names no format of this library.
        """
        ...


@runtime_checkable
class SharedFamily(Family, Protocol):
    """A library of which several workers can train one model together.

    Attributes:
        trainer: Module of Ray Train that connects the workers.
    """

    trainer: str

    def fit_share(
        self, estimator: Any, rows: Any, target: Any, weight: Any, valid: Any, *, place: Place
    ) -> tuple[Any, Curves]:
        """Fit an estimator as one of several workers; every one of them gets the same arguments.

        Args:
            estimator: This worker's own copy.
            rows: All that the workers learn from together.
            target: Of all these.
            weight: Likewise, or ``None``.
            valid: As of ``fit``; all of it.
            place: Which of the workers this is.

        Returns:
            The model, the same on each worker, and its curves.

        Raises:
            ValueError: As ``fit``.
        """
        ...


def is_classification(target: Any, objective: object, regressions: Sequence[str]) -> bool:
    """Say whether a target column holds classes.

    An objective decides where there is one; else everything but floating-point numbers is classes.
    """
    if isinstance(objective, str):
        return not objective.startswith(tuple(regressions))
    return bool(target.dtype.kind != "f")
