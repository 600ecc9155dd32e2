"""What the ``predict`` wrapper does: write what a model says beside each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.files import write_bytes, write_json
from snakemake_repro.wrappers.judging import judge
from snakemake_repro.wrappers.models import Model, Scores, load_model
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tables import check_column, read_arrow, to_parquet

_KNOWN = ("keep", "features")


def predict(snakemake: Any, run: Any) -> None:
    """Do what a rule with the ``predict`` wrapper asks for.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.

    Raises:
        WrapperError: Input or parameters make no sense.
    """
    params = requests.known_params("predict", snakemake.params, _KNOWN)
    target = requests.required_path(snakemake.output, "predictions", "output")
    model = load_model(requests.required_path(snakemake.input, "model", "input"))
    path = requests.required_path(snakemake.input, "data", "input")
    table = read_arrow(path)
    kept = table.select(_kept(params, table.column_names, path))
    scores = judge(model, table.to_pandas(), params, without=(), path=path)
    report = _report(model, scores)
    run.log_metrics({"rows": report["rows"]} | _flat(report["predicted"]))
    write_bytes(target, to_parquet(_with_answers(kept, model, scores, path)))
    if (place := requests.path_of(snakemake.output, "report")) is not None:
        write_json(place, report)


def _kept(params: Mapping[str, Any], columns: list[str], path: str) -> list[str]:
    """Return the names of the columns to keep: all of them, or those that the rule names."""
    if params.get("keep") is None:
        return columns
    # unlike a list of features, one of columns to keep may be empty
    wanted = list(requests.names(params, "keep")) if params["keep"] != [] else []
    for name in wanted:
        check_column(columns, name, path=path, role="keep", param="keep")
    return wanted


def _with_answers(kept: Any, model: Model, scores: Scores, path: str) -> Any:
    """Return the kept columns and, after them, the answers."""
    import pyarrow as pa

    answers: dict[str, Any] = {}
    if model.classes is None:
        answers["predicted"] = scores
    else:
        answers["predicted"] = pa.array(model.classes).take(pa.array(scores.argmax(axis=1)))
        answers |= {f"score_{name}": scores[:, code] for code, name in enumerate(model.classes)}
    for name, values in answers.items():
        if name in kept.column_names:
            raise WrapperError(
                f"{path}: expected a table without a column {name!r}, which is what the wrapper "
                "adds, got one with it",
                hint="name the other columns as params: keep=, or rename it",
            )
        kept = kept.append_column(name, pa.array(values))
    return kept


def _report(model: Model, scores: Scores) -> dict[str, Any]:
    predicted: dict[str, Any]
    if model.classes is None:
        predicted = {
            "mean": float(scores.mean()),
            "min": float(scores.min()),
            "max": float(scores.max()),
        }
    else:
        counts = np.bincount(scores.argmax(axis=1), minlength=len(model.classes))
        pairs = zip(model.classes, counts / len(scores), strict=True)
        predicted = {"share": {str(name): float(share) for name, share in pairs}}
    return {
        "schema": 1,
        "rows": len(scores),
        "classes": None if model.classes is None else list(model.classes),
        "probabilities": model.probabilistic,
        "predicted": predicted,
    }


def _flat(predicted: Mapping[str, Any]) -> dict[str, float]:
    shares = predicted.get("share")
    if shares is None:
        return {f"predicted_{name}": value for name, value in predicted.items()}
    return {f"predicted_share_{name}": share for name, share in shares.items()}
