"""Values that count as equal although they differ a little."""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from snakemake_repro.records import Comparator, Json

_ABSENT = object()


def close(old: float, new: float, comparator: Comparator) -> bool:
    """Tell whether two numbers count as equal, as ``numpy.isclose`` tells it; NaN equals NaN."""
    if math.isnan(old) or math.isnan(new):
        return math.isnan(old) and math.isnan(new)
    if math.isinf(old) or math.isinf(new):
        return old == new
    return abs(old - new) <= comparator.atol + comparator.rtol * abs(old)


def json_difference(
    old: Json, new: Json, comparator: Comparator, path: tuple[str, ...] = ()
) -> str | None:
    """Return the first difference of two JSON values that is not tolerated, with its place.

    What a pattern of ``ignore`` matches is left out: keys and positions joined by dots, with the
    wildcards of file names (``fit.*.seconds``).
    """
    if any(fnmatch.fnmatchcase(".".join(path), pattern) for pattern in comparator.ignore):
        return None
    pairs: Iterable[tuple[str, Json, Json]]
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = dict.fromkeys((*old, *new))
        pairs = ((key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys)
    elif isinstance(old, list) and isinstance(new, list):
        both = itertools.zip_longest(old, new, fillvalue=_ABSENT)
        pairs = ((str(number), a, b) for number, (a, b) in enumerate(both))
    elif _is_number(old) and _is_number(new):
        return None if close(old, new, comparator) else _at(path, old, new)
    else:
        same = type(old) is type(new) and old == new
        return None if same else _at(path, old, new)
    found = (json_difference(a, b, comparator, (*path, key)) for key, a, b in pairs)
    return next((one for one in found if one is not None), None)


def table_difference(
    old: Sequence[Sequence[str]], new: Sequence[Sequence[str]], comparator: Comparator
) -> str | None:
    """Return the first difference of two tables that is not tolerated.

    Args:
        old: Rows of fields; the first row names the columns.
        new: Likewise.
        comparator: ``ignore`` holds names of columns.
    """
    if len(old) != len(new):
        return f"{len(old):,} rows -> {len(new):,} rows"
    columns = list(old[0]) if old else []
    if new and list(new[0]) != columns:
        return f"columns: {', '.join(columns)} -> {', '.join(new[0])}"
    for number, (a, b) in enumerate(zip(old[1:], new[1:], strict=True), 1):
        if len(a) != len(b):
            return f"row {number}: {len(a)} fields -> {len(b)} fields"
        for position, (x, y) in enumerate(zip(a, b, strict=True)):
            column = columns[position] if position < len(columns) else str(position + 1)
            if column not in comparator.ignore and not _same_field(x, y, comparator):
                return f"row {number}, column {column}: {x} -> {y}"
    return None


def text_difference(old: Iterable[str], new: Iterable[str], comparator: Comparator) -> str | None:
    """Return the first line that differs, those left out in which a pattern is found."""
    patterns = [re.compile(pattern) for pattern in comparator.ignore]

    def counting(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(lines, 1):
            if not any(pattern.search(line) for pattern in patterns):
                yield number, line

    for a, b in itertools.zip_longest(counting(old), counting(new)):
        if a is None or b is None or a[1] != b[1]:
            number = (a or b or (0, ""))[0]
            return f"line {number}: {_line(a)} -> {_line(b)}"
    return None


def _same_field(old: str, new: str, comparator: Comparator) -> bool:
    if old == new:
        return True
    try:
        return close(float(old), float(new), comparator)
    except ValueError:
        return False


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(path: Sequence[str], old: Json, new: Json) -> str:
    a, b = ("nothing" if value is _ABSENT else repr(value) for value in (old, new))
    return f"{'.'.join(path) or 'value'}: {a} -> {b}"


def _line(found: tuple[int, str] | None) -> str:
    return "nothing" if found is None else found[1]
