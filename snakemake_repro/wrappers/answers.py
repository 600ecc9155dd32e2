"""What a model says of rows, as columns beside those that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.models import Model, Scores
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tables import check_column


def kept_columns(
    params: Mapping[str, Any], columns: list[str], path: str, *, default: list[str]
) -> list[str]:
    """Return the names of the columns to keep: those that the rule names, or else the default.

    Raises:
        WrapperError: The table lacks one of them.
    """
    if params.get("keep") is None:
        return default
    # unlike a list of features, one of columns to keep may be empty
    wanted = list(requests.names(params, "keep")) if params["keep"] != [] else []
    for name in wanted:
        check_column(columns, name, path=path, role="keep", param="keep")
    return wanted


def with_answers(kept: Any, model: Model, scores: Scores, path: str) -> Any:
    """Return the kept columns and, after them, the answers.

    Args:
        kept: A ``pyarrow.Table``.
        model: What answered.
        scores: What it answered.
        path: Where the table comes from, for the message.

    Raises:
        WrapperError: A kept column has the name of an answer.
    """
    import pyarrow as pa

    answers: dict[str, Any] = {}
    if model.columns is not None:
        answers |= {name: scores[:, place] for place, name in enumerate(model.columns)}
    elif model.classes is None:
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
