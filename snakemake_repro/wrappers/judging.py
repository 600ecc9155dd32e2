"""What a model says of the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.models import Model, Scores
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tables import choose_features, features_of


def judge(
    model: Model, frame: Any, params: Mapping[str, Any], *, without: Sequence[str], path: str
) -> Scores:
    """Return the model's numbers, or its scores of each class, row by row.

    Args:
        model: It may know its features; else ``features`` of the parameters names them.
        frame: The table.
        params: Those of the rule.
        without: Columns that are no features where nothing names the features.
        path: Where the table comes from, for the message.

    Raises:
        WrapperError: A feature is missing or holds no numbers, or the model refuses the rows.
    """
    wanted = model.features
    if wanted is None and params.get("features") is not None:
        wanted = requests.names(params, "features")
    names = choose_features(frame, wanted, without=without, path=path)
    rows = features_of(frame, names, path=path)
    try:
        return model.output(rows)
    except ValueError as exc:
        raise WrapperError(f"{path}: the model cannot judge these rows: {exc}") from exc
