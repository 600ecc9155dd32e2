"""What the ``predict`` wrapper does: write what a model says beside each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.answers import kept_columns, with_answers
from snakemake_repro.wrappers.files import write_bytes, write_json
from snakemake_repro.wrappers.judging import judge
from snakemake_repro.wrappers.models import Model, Scores, load_model
from snakemake_repro.wrappers.tables import read_arrow, to_parquet

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
    columns = table.column_names
    kept = table.select(kept_columns(params, columns, path, default=columns))
    scores = judge(model, table.to_pandas(), params, without=(), path=path)
    report = _report(model, scores)
    run.log_metrics({"rows": report["rows"]} | _flat(report["predicted"]))
    write_bytes(target, to_parquet(with_answers(kept, model, scores, path)))
    if (place := requests.path_of(snakemake.output, "report")) is not None:
        write_json(place, report)


def _report(model: Model, scores: Scores) -> dict[str, Any]:
    predicted: dict[str, Any]
    if model.classes is None:
        # of what describes a row, its last number says how well
        numbers = scores if model.columns is None else scores[:, -1]
        predicted = {
            "mean": float(numbers.mean()),
            "min": float(numbers.min()),
            "max": float(numbers.max()),
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
