"""What the ``evaluate`` wrapper does: judge classifiers on rows they never saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.files import write_bytes, write_json
from snakemake_repro.wrappers.judging import judge
from snakemake_repro.wrappers.models import Model, load_model
from snakemake_repro.wrappers.problems import WrapperError, listed
from snakemake_repro.wrappers.sample import Floats, Sample
from snakemake_repro.wrappers.tables import column, read_table, to_parquet
from snakemake_repro.wrappers.verdict import judge_sample, scores_of

_KNOWN = ("target", "features", "seed", "group", "positive", "bootstrap", "title")
_BINARY = 2


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    """One table with what its model says of it."""

    truth: Any
    groups: Any
    scores: Floats
    probabilistic: bool


def evaluate(snakemake: Any, run: Any) -> None:
    """Do what a rule with the ``evaluate`` wrapper asks for.

    Several models with as many tables are the folds of one cross-validation: each model judges
    its own table, and the scores are those of all rows together.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.

    Raises:
        WrapperError: Input or parameters make no sense.
    """
    params = requests.known_params("evaluate", snakemake.params, _KNOWN)
    target = requests.text(params, "target")
    group = requests.optional_text(params, "group")
    seed = requests.seed_of(snakemake)
    replicates = requests.whole(params, "bootstrap", default=1000, low=100)
    metrics_path = requests.required_path(snakemake.output, "metrics", "output")
    models = [load_model(path) for path in _paths(snakemake.input, "model")]
    tables = _paths(snakemake.input, "data")
    classes = _classes(models, tables)
    judged = [
        _judge(model, path, params, target, group)
        for model, path in zip(models, tables, strict=True)
    ]
    sample = _sample(classes, judged, tables, target)
    positive = _positive(params, classes)
    report, weights = judge_sample(sample, positive, replicates, seed)
    report |= {
        "target": target,
        "group": group,
        "classes": list(classes),
        "positive": None if positive is None else classes[positive],
    }
    run.log_metrics(scores_of(report))
    if (path := requests.path_of(snakemake.output, "predictions")) is not None:
        write_bytes(path, _predictions(sample, judged, target, group, positive))
    if (path := requests.path_of(snakemake.output, "figure")) is not None:
        from snakemake_repro.wrappers.figures import draw

        title = params.get("title")
        image = draw(sample, report, weights, positive=positive, title=title, path=path)
        write_bytes(path, image)
    write_json(metrics_path, report)


def _paths(files: Any, name: str) -> list[str]:
    value = files.get(name)
    paths = [value] if isinstance(value, str) else list(value or ())
    if not paths:
        raise WrapperError(
            f"input: expected one file or more as {name}=, got {listed(files.keys())}",
            hint=f"add {name}=... to the rule's input",
        )
    return [str(path) for path in paths]


def _classes(models: list[Model], tables: list[str]) -> tuple[Any, ...]:
    """Return the classes that all models tell apart."""
    if len(models) != len(tables):
        raise WrapperError(
            f"input: expected one table as data= for each model=, got {len(tables)} "
            f"for {len(models)}"
        )
    first = models[0].classes
    if first is None:
        raise WrapperError(
            "input: expected a classifier as model=, got a model that "
            f"{'predicts numbers' if models[0].columns is None else 'describes rows'}",
            hint="the metrics= of its training say how good it is",
        )
    for model in models:
        if model.classes != first:
            raise WrapperError(
                f"input: expected models of the same classes ({listed(first)}), "
                f"got one of {listed(model.classes or ())}"
            )
    return first


def _judge(
    model: Model, path: str, params: Mapping[str, Any], target: str, group: str | None
) -> _Judged:
    frame = read_table(path)
    truth = column(frame, target, path=path, role="target")
    groups = None if group is None else column(frame, group, path=path, role="group").to_numpy()
    without = [name for name in (target, group) if name is not None]
    scores = judge(model, frame, params, without=without, path=path)
    return _Judged(truth=truth, groups=groups, scores=scores, probabilistic=model.probabilistic)


def _sample(
    classes: tuple[Any, ...], judged: list[_Judged], tables: list[str], target: str
) -> Sample:
    index = {name: number for number, name in enumerate(classes)}
    truth = []
    for item, path in zip(judged, tables, strict=True):
        strange = [name for name in item.truth.unique().tolist() if name not in index]
        if strange:
            raise WrapperError(
                f"{path}: expected only the model's classes ({listed(classes)}) in column "
                f"{target!r}, got also {listed(strange)}"
            )
        truth.append(np.array([index[name] for name in item.truth.tolist()], np.int64))
    codes = np.concatenate(truth)
    missing = [name for number, name in enumerate(classes) if number not in codes]
    if missing:
        raise WrapperError(
            f"{listed(tables)}: expected rows of every class in column {target!r}, "
            f"got none of {listed(missing)}",
            hint="evaluate on more rows",
        )
    if judged[0].groups is None:
        groups = np.arange(len(codes))
    else:
        groups = np.unique(np.concatenate([j.groups for j in judged]), return_inverse=True)[1]
    lengths = [len(item.truth) for item in judged]
    return Sample(
        classes=classes,
        truth=codes,
        scores=np.concatenate([item.scores for item in judged]),
        fold=np.repeat(np.arange(len(judged)), lengths),
        group=groups,
        probabilistic=all(item.probabilistic for item in judged),
    )


def _positive(params: Mapping[str, Any], classes: tuple[Any, ...]) -> int | None:
    """Return the number of the positive class; ``None`` where there are more than two."""
    wanted = params.get("positive")
    if wanted is not None and wanted not in classes:
        raise WrapperError(
            f"params: expected one of the classes ({listed(classes)}) as positive=, got {wanted!r}"
        )
    if len(classes) != _BINARY:
        return None
    return len(classes) - 1 if wanted is None else classes.index(wanted)


def _predictions(
    sample: Sample, judged: list[_Judged], target: str, group: str | None, positive: int | None
) -> bytes:
    """Return a Parquet file with the right answer, the model's and its scores, row by row."""
    import pyarrow as pa

    names = np.array([str(name) for name in sample.classes], dtype=object)
    columns: dict[str, Any] = {"fold": sample.fold}
    if group is not None:
        columns[group] = np.concatenate([item.groups for item in judged])
    columns[target] = names[sample.truth]
    columns["predicted"] = names[sample.predicted]
    if positive is not None:
        columns["score"] = sample.scores[:, positive]
    else:
        columns |= {f"score_{name}": sample.scores[:, i] for i, name in enumerate(names)}
    return to_parquet(pa.table(columns))
