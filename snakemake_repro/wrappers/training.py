"""What the train wrappers do alike: read, fit, measure, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from snakemake_repro.logic.plain import describe
from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.families.base import Curves, Family, Learner, SharedFamily
from snakemake_repro.wrappers.families.shares import check_enough
from snakemake_repro.wrappers.files import write_bytes, write_json
from snakemake_repro.wrappers.models import Model, parse_model
from snakemake_repro.wrappers.problems import WrapperError, listed
from snakemake_repro.wrappers.request import Request
from snakemake_repro.wrappers.scores import score
from snakemake_repro.wrappers.tables import choose_features, column, features_of, read_table
from snakemake_repro.wrappers.workers import Crew, crew_of


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """A table taken apart."""

    features: Any
    target: Any
    groups: Any

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: Any) -> _Rows:
        """Return some of the rows."""
        return _Rows(
            features=self.features.iloc[index].reset_index(drop=True),
            target=self.target.iloc[index].reset_index(drop=True),
            groups=None if self.groups is None else self.groups[index],
        )


def train(snakemake: Any, run: Any, family: Family) -> None:
    """Do what a rule with a train wrapper asks for.

    With ``data=`` the model learns from all rows, and its scores come from a cross-validation
    (whole groups at a time where ``group=`` names them). With ``train=`` it learns from these
    alone, and its scores come from ``valid=``.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.
        family: The library.

    Raises:
        WrapperError: Input or parameters make no sense.
    """
    request = requests.parse(snakemake, shared=isinstance(family, SharedFamily))
    rows, names = _read(request, request.train, None)
    valid = None if request.valid is None else _read(request, request.valid, names)[0]
    if valid is not None and request.group is not None:
        check_groups(
            request.group,
            rows.groups,
            valid.groups,
            train=request.train,
            valid=str(request.valid),
        )
    threads = request.threads // request.workers
    learner = family.learner(request.own, rows.target, seed=request.seed, threads=threads)
    if learner.classifier and rows.target.nunique() < 2:  # noqa: PLR2004
        raise WrapperError(
            f"{request.train}: expected at least two classes in column {request.target!r}, "
            f"got only {rows.target.iloc[0]!r}",
            hint="check the rule that wrote it",
        )
    nbytes = int(rows.features.memory_usage().sum())
    folds: dict[str, Any] | None = None
    with crew_of(request.workers, nbytes=nbytes) as crew:
        content, model, curves = _fit(family, learner, request, rows, valid, crew=crew)
        if request.folds:
            folds = _cross_validate(family, learner, request, rows, crew)
    report = _describe(request, learner, names, model)
    if request.workers > 1:
        report["num_workers"] = request.workers
    report["rows"] = {"train": len(rows)}
    report["train"] = score(model, rows.features, rows.target)
    if valid is not None:
        report["rows"]["valid"] = len(valid)
        report["valid"] = score(model, valid.features, valid.target)
    if folds is not None:
        report["cross_validation"] = folds
    run.log_params({"estimator": learner.name})
    log_curves(run, curves)
    run.log_metrics(_flat(report))
    write_bytes(request.model, content)
    write_json(request.metrics, report)


def log_curves(run: Any, curves: Curves) -> None:
    """Record how the training went, round by round."""
    for name, values in curves.items():
        for step, value in enumerate(values):
            run.log_metric(name, float(value), step=step)


def _read(
    request: Request, path: str, names: tuple[str, ...] | None
) -> tuple[_Rows, tuple[str, ...]]:
    frame = read_table(path)
    target = column(frame, request.target, path=path, role="target")
    groups = None
    if request.group is not None:
        groups = column(frame, request.group, path=path, role="group").to_numpy()
    if names is None:
        without = [name for name in (request.target, request.group) if name is not None]
        for name in request.features or ():
            if name in without:
                raise WrapperError(
                    f"params: expected features= without the target and the group, got {name!r}",
                    hint="leave it out of the list",
                )
        names = choose_features(frame, request.features, without=without, path=path)
    rows = _Rows(features=features_of(frame, names, path=path), target=target, groups=groups)
    return rows, names


def check_groups(name: str, ours: Any, others: Any, *, train: str, valid: str) -> None:
    """Check that no group stands on both sides: the scores would flatter the model.

    Args:
        name: Of the column.
        ours: Group of each row to learn from.
        others: Group of each row to measure on.
        train: Where those come from, for the message.
        valid: Where these come from.

    Raises:
        WrapperError: One does.
    """
    shared = np.intersect1d(ours, others)
    if len(shared):
        raise WrapperError(
            f"{valid}: expected other groups (column {name!r}) than in "
            f"{train}, got {listed(shared)} in both",
            hint="split whole groups, not rows",
        )


def _fit(
    family: Family,
    learner: Learner,
    request: Request,
    rows: _Rows,
    valid: _Rows | None,
    *,
    crew: Crew,
) -> tuple[bytes, Model, Curves]:
    """Fit a copy of the learner; return its file, the model read back from it, and its curves."""
    from sklearn.base import clone

    estimator = clone(learner.estimator)
    classes: list[Any] | None = None
    target, watched = rows.target, None if valid is None else valid.target
    if learner.classifier:
        classes = sorted(target.unique().tolist())
    if classes is not None and watched is not None:
        strange = sorted(set(watched.unique().tolist()) - set(classes))
        if strange:
            raise WrapperError(
                f"{request.valid}: expected only classes that {request.train} has "
                f"({listed(classes)}), got also {listed(strange)}",
                hint="give every class a row to learn from",
            )
    check_enough(target, crew.count, classifier=learner.classifier, path=request.train)
    weight = _weights(learner, target, classes)
    pair = None if valid is None else (valid.features, _encoded(learner, watched, classes))
    try:
        estimator, curves = crew.fit(
            family,
            estimator,
            rows.features,
            _encoded(learner, target, classes),
            weight=weight,
            valid=pair,
        )
    except (ValueError, TypeError, RuntimeError) as exc:
        raise WrapperError(f"{learner.name}: cannot be trained on {request.train}: {exc}") from exc
    about = {"classes": classes, "features": list(rows.features.columns)}
    content = family.dump(estimator, about, request.model)
    return content, parse_model(content, request.model), curves


def _encoded(learner: Learner, target: Any, classes: list[Any] | None) -> Any:
    """Return a target as its library wants it."""
    if classes is None or not learner.encode:
        return target.to_numpy()
    index = {name: number for number, name in enumerate(classes)}
    return np.array([index[value] for value in target.tolist()])


def _weights(learner: Learner, target: Any, classes: list[Any] | None) -> Any:
    if learner.class_weight is None:
        return None
    from sklearn.utils.class_weight import compute_sample_weight

    if classes is None or not (
        learner.class_weight == "balanced" or isinstance(learner.class_weight, Mapping)
    ):
        got = "a regression" if classes is None else repr(learner.class_weight)
        raise WrapperError(
            "params: expected 'balanced' or a mapping of classes to weights as class_weight=, "
            f"for a classification, got {got}"
        )
    return compute_sample_weight(learner.class_weight, target.to_numpy())


def _cross_validate(
    family: Family, learner: Learner, request: Request, rows: _Rows, crew: Crew
) -> dict[str, Any]:
    """Return the scores of as many models as there are folds, each on rows it never saw."""
    found: dict[str, list[float]] = {}
    for train_index, test_index in _splits(learner, request, rows):
        test = rows.take(test_index)
        _, model, _ = _fit(family, learner, request, rows.take(train_index), None, crew=crew)
        for name, value in score(model, test.features, test.target).items():
            found.setdefault(name, []).append(value)
    means = {name: float(np.mean(values)) for name, values in found.items()}
    spread = {f"{name}_std": float(np.std(values)) for name, values in found.items()}
    return {"folds": request.folds, **means, **spread}


def _splits(learner: Learner, request: Request, rows: _Rows) -> Iterator[tuple[Any, Any]]:
    from sklearn import model_selection

    kind = {
        (True, True): model_selection.StratifiedGroupKFold,
        (True, False): model_selection.StratifiedKFold,
        (False, True): model_selection.GroupKFold,
        (False, False): model_selection.KFold,
    }[learner.classifier, rows.groups is not None]
    try:
        splitter = kind(request.folds, shuffle=True, random_state=request.seed)
        yield from splitter.split(rows.features, rows.target, rows.groups)
    except ValueError as exc:
        raise WrapperError(
            f"{request.train}: cannot be split into {request.folds} folds: {exc}",
            hint="give params: folds= a smaller number, or 0 for no cross-validation",
        ) from exc


def _describe(
    request: Request, learner: Learner, names: tuple[str, ...], model: Model
) -> dict[str, Any]:
    return {
        "schema": 1,
        "estimator": learner.name,
        "parameters": describe(dict(request.own)),
        "target": request.target,
        "features": list(names),
        "classes": None if model.classes is None else list(model.classes),
        "group": request.group,
        "seed": request.seed,
        "threads": request.threads,
    }


def _flat(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of a report by names that fit into one list."""
    prefixes = {"train": "train", "valid": "valid", "cross_validation": "cv"}
    return {
        f"{prefix}_{name}": float(value)
        for part, prefix in prefixes.items()
        for name, value in report.get(part, {}).items()
    }
