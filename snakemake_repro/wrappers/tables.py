"""Read tables of rows to learn from, and check that the named columns are there."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snakemake_repro.wrappers.problems import WrapperError, listed, suggest


def read_table(path: str) -> Any:
    """Return a Parquet file as a ``pandas.DataFrame``.

    Raises:
        WrapperError: It is not a Parquet file, or has no rows.
    """
    table = read_arrow(path)
    with parquet(path):
        return table.to_pandas()


def read_arrow(path: str) -> Any:
    """Return a Parquet file as a ``pyarrow.Table``, every column of the type that it has there.

    Raises:
        WrapperError: It is not a Parquet file, or has no rows.
    """
    import pyarrow.parquet as pq

    with parquet(path):
        table = pq.read_table(path)
    if not table.num_rows or not table.num_columns:
        raise WrapperError(
            f"{path}: expected at least one row, got an empty table",
            hint="check the rule that wrote it",
        )
    return table


@contextlib.contextmanager
def parquet(path: str) -> Iterator[None]:
    """Say in our words why a Parquet file cannot be read.

    Raises:
        WrapperError: It is not a Parquet file.
    """
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise WrapperError(f"{path}: expected a Parquet file, found nothing") from None
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise WrapperError(
            f"{path}: expected a Parquet file, got {_kind(path)}: {exc}",
            hint="write it with pandas.DataFrame.to_parquet or pyarrow",
        ) from exc


def _kind(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            head = file.read(4)
    except OSError as exc:
        return str(exc.strerror)
    return "a damaged one" if head == b"PAR1" else f"a file that begins with {head!r}"


def to_parquet(table: Any) -> bytes:
    """Return a ``pyarrow.Table`` as a Parquet file's content, the same bytes for the same table."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def check_column(columns: Collection[Any], name: str, *, path: str, role: str, param: str) -> None:
    """Check that a table has a column.

    Args:
        columns: Those that it has.
        name: Of the column.
        path: Where the table comes from, for the message.
        role: What the column is for, such as ``target``.
        param: The parameter that names it.

    Raises:
        WrapperError: It has not.
    """
    if name not in columns:
        raise WrapperError(
            f"{path}: expected a column {name!r} ({role}), got columns {listed(columns)}",
            hint=suggest(name, map(str, columns)) or f"correct params: {param}=",
        )


def column(frame: Any, name: str, *, path: str, role: str) -> Any:
    """Return a column without missing values.

    Args:
        frame: The table.
        name: Name of the column.
        path: Where the table comes from, for the message.
        role: What the column is for, such as ``target``.

    Raises:
        WrapperError: There is no such column, or values are missing in it.
    """
    check_column(frame.columns, name, path=path, role=role, param=role)
    missing = int(frame[name].isna().sum())
    if missing:
        raise WrapperError(
            f"{path}: expected a value in every row of column {name!r} ({role}), "
            f"got {missing} of {len(frame)} without one",
            hint="leave these rows out of the table",
        )
    return frame[name]


def choose_features(
    frame: Any, wanted: Sequence[str] | None, *, without: Sequence[str], path: str
) -> tuple[str, ...]:
    """Return the names of the features: those wanted, or all columns but some.

    Raises:
        WrapperError: None is left.
    """
    if wanted is not None:
        return tuple(wanted)
    names = tuple(str(name) for name in frame.columns if name not in without)
    if not names:
        raise WrapperError(
            f"{path}: expected feature columns besides {listed(without)}, got none",
            hint="check the rule that wrote it",
        )
    return names


def features_of(frame: Any, names: Sequence[str], *, path: str) -> Any:
    """Return the feature columns as numbers (float64), in the order of ``names``.

    Missing values stay: some models can work with them.

    Raises:
        WrapperError: A column is missing or does not hold numbers.
    """
    for name in names:
        check_column(frame.columns, name, path=path, role="feature", param="features")
        kind = frame[name].dtype.kind
        if kind not in "biuf":
            raise WrapperError(
                f"{path}: expected numbers in column {name!r} (feature), got {frame[name].dtype}",
                hint="encode it as numbers, or leave it out of params: features=",
            )
    return frame[list(names)].astype(np.float64)
