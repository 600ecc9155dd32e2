"""When two outputs count as the same although their bytes differ.

::

    from snakemake_repro.comparators import compare, json

    rule train:
        output:
            compare("scores.json", json(rtol=1e-6), cause="sums in threads are not associative")

The declaration goes into the record; `repro verify --rebuild` and `repro rerun` act on it. Where
none is declared, every byte counts.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

from snakemake_repro.errors import UsageError
from snakemake_repro.records import Comparator, ComparatorKind

__all__ = ["compare", "csv", "image", "json", "npy", "parquet", "text"]


def compare(path: Any, comparator: Comparator, *, cause: str | None = None) -> Any:
    """Declare how a repeat of an output is compared with it.

    It goes together with Snakemake's own markers: ``temp(compare(...))``.

    Args:
        path: What an output directive takes: a path, a list of paths, a function, or one of them
            with a marker.
        comparator: What :func:`json` and the others return.
        cause: Why the bytes differ, for readers of the report.

    Raises:
        UsageError: The comparator is none.
    """
    from snakemake_repro.backends.snakemake_values import with_comparator

    if not isinstance(comparator, Comparator):
        raise UsageError(
            f"compare({path!r}, ...) got {comparator!r}, expected a comparator",
            hint="Use one of snakemake_repro.comparators, for instance json(rtol=1e-6).",
        )
    return with_comparator(path, dataclasses.replace(comparator, cause=cause))


def json(*, rtol: float = 0.0, atol: float = 0.0, ignore: Sequence[str] = ()) -> Comparator:
    """Return the comparator of JSON files (`.jsonl`, `.ndjson`: one value per line).

    Args:
        rtol: Relative tolerance of numbers.
        atol: Absolute tolerance of numbers.
        ignore: What does not count: keys and positions joined by dots, with the wildcards of file
            names (``fit.*.seconds``).

    Raises:
        UsageError: A tolerance is none.
    """
    return _made(ComparatorKind.JSON, rtol, atol, ignore)


def csv(
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    ignore: Sequence[str] = (),
    separator: str | None = None,
) -> Comparator:
    """Return the comparator of tables in text, whose first row names the columns.

    Args:
        rtol: Relative tolerance of fields that are numbers.
        atol: Absolute tolerance of fields that are numbers.
        ignore: Names of columns that do not count.
        separator: One character; a tab for `.tsv` and `.tab`, else a comma.

    Raises:
        UsageError: A tolerance or the separator is none.
    """
    if separator is not None and len(separator) != 1:
        raise UsageError(f"the separator is {separator!r}, expected one character")
    found = _made(ComparatorKind.CSV, rtol, atol, ignore)
    return dataclasses.replace(found, separator=separator)


def parquet(*, rtol: float = 0.0, atol: float = 0.0, ignore: Sequence[str] = ()) -> Comparator:
    """Return the comparator of Parquet files: columns and values, not how they are packed.

    Args:
        rtol: Relative tolerance of numbers.
        atol: Absolute tolerance of numbers.
        ignore: Names of columns that do not count.

    Raises:
        UsageError: A tolerance is none.
    """
    return _made(ComparatorKind.PARQUET, rtol, atol, ignore)


def npy(*, rtol: float = 0.0, atol: float = 0.0, ignore: Sequence[str] = ()) -> Comparator:
    """Return the comparator of `.npy` and `.npz` files.

    Args:
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        ignore: Names of arrays of an `.npz` file that do not count.

    Raises:
        UsageError: A tolerance is none.
    """
    return _made(ComparatorKind.NPY, rtol, atol, ignore)


def image(*, atol: float = 0.0) -> Comparator:
    """Return the comparator of pictures: their pixels, not how they are packed.

    Args:
        atol: By how much one channel of one pixel may differ, of 255 where it has 8 bits.

    Raises:
        UsageError: The tolerance is none.
    """
    return _made(ComparatorKind.IMAGE, 0.0, atol, ())


def text(*, ignore: Sequence[str] = ()) -> Comparator:
    """Return the comparator of texts, line by line.

    Args:
        ignore: Regular expressions; lines in which one is found do not count.

    Raises:
        UsageError: One of them is none.
    """
    for pattern in ignore:
        try:
            re.compile(pattern)
        except re.error as exc:
            raise UsageError(f"{pattern!r} is no regular expression: {exc}") from exc
    return _made(ComparatorKind.TEXT, 0.0, 0.0, ignore)


def _made(kind: ComparatorKind, rtol: float, atol: float, ignore: Sequence[str]) -> Comparator:
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{kind.value}({name}={value!r}): expected 0 or a positive number")
    if isinstance(ignore, str):
        raise UsageError(f"{kind.value}(ignore={ignore!r}): expected a list")
    return Comparator(kind=kind, rtol=float(rtol), atol=float(atol), ignore=tuple(ignore))
