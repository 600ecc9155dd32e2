"""Two files compared as what their rule says they hold."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from snakemake_repro.logic.tolerance import json_difference, table_difference, text_difference
from snakemake_repro.records import Comparator, ComparatorKind, Json

_GZIP = b"\x1f\x8b"
_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_TABS = (".tsv", ".tab", ".tsv.gz", ".tab.gz")
_LONGEST = 200


def difference(comparator: Comparator, old: Path, new: Path) -> str | None:
    """Return the first difference that a comparator does not tolerate, ``None`` if there is none.

    A file that cannot be read as what it is said to hold differs; the answer says why.
    """
    try:
        found = _COMPARED[comparator.kind](comparator, old, new)
    # what libraries raise for damaged files: ArrowInvalid and UnidentifiedImageError are these too
    except (OSError, ValueError, EOFError, SyntaxError, csv.Error, re.error) as exc:
        found = f"cannot be read as {comparator.kind.value}: {exc}"
    return None if found is None else found[:_LONGEST]


def _json(comparator: Comparator, old: Path, new: Path) -> str | None:
    a, b = map(_read_json, (old, new))
    return json_difference(a, b, comparator)


def _read_json(path: Path) -> Json:
    with _text(path) as file:
        if path.name.endswith(_LINES):
            return [json.loads(line) for line in file if line.strip()]
        return json.load(file)


def _csv(comparator: Comparator, old: Path, new: Path) -> str | None:
    a, b = (_read_table(path, comparator.separator) for path in (old, new))
    return table_difference(a, b, comparator)


def _read_table(path: Path, separator: str | None) -> list[list[str]]:
    tabs = path.name.endswith(_TABS)
    with _text(path) as file:
        return list(csv.reader(file, delimiter=separator or ("\t" if tabs else ",")))


def _lines(comparator: Comparator, old: Path, new: Path) -> str | None:
    with _text(old) as a, _text(new) as b:
        before, after = ((line.rstrip("\r\n") for line in file) for file in (a, b))
        return text_difference(before, after, comparator)


def _parquet(comparator: Comparator, old: Path, new: Path) -> str | None:
    from pyarrow import parquet

    a, b = (parquet.read_table(path) for path in (old, new))
    kept = [name for name in a.column_names if name not in comparator.ignore]
    others = [name for name in b.column_names if name not in comparator.ignore]
    if kept != others:
        return f"columns: {', '.join(kept)} -> {', '.join(others)}"
    if a.num_rows != b.num_rows:
        return f"{a.num_rows:,} rows -> {b.num_rows:,} rows"
    for name in kept:
        x, y = a.column(name), b.column(name)
        if x.type != y.type:
            return f"column {name}: {x.type} -> {y.type}"
        if x.equals(y):
            continue
        if x.null_count or y.null_count or not _is_floating(x.type):
            found = json_difference(x.to_pylist(), y.to_pylist(), comparator)
        else:
            found = _arrays(x.to_numpy(), y.to_numpy(), comparator)
        if found is not None:
            return f"column {name}, row {found}"
    return None


def _is_floating(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_floating(kind))


def _npy(comparator: Comparator, old: Path, new: Path) -> str | None:
    a, b = map(_read_arrays, (old, new))
    names = [name for name in a if name not in comparator.ignore]
    others = [name for name in b if name not in comparator.ignore]
    if sorted(names) != sorted(others):
        return f"arrays: {', '.join(names)} -> {', '.join(others)}"
    for name in names:
        found = _arrays(a[name], b[name], comparator)
        if found is not None:
            return f"{name} {found}".lstrip()
    return None


def _read_arrays(path: Path) -> Mapping[str, Any]:
    """Return the arrays of a file by name; of a ``.npy`` file the one, without a name."""
    import numpy as np

    # a pickle would run code
    found = np.load(path, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return {"": found}
    with found:
        return {name: found[name] for name in found.files}


def _image(comparator: Comparator, old: Path, new: Path) -> str | None:
    import numpy as np
    from PIL import Image

    pixels = []
    for path in (old, new):
        with Image.open(path) as image:
            # a palette's numbers mean nothing by themselves
            flat = image.convert("RGBA") if image.mode == "P" else image
            pixels.append((flat.mode, np.asarray(flat)))
    (mode, a), (other, b) = pixels
    if mode != other:
        return f"mode {mode} -> {other}"
    return _arrays(a, b, comparator)


def _arrays(old: Any, new: Any, comparator: Comparator) -> str | None:
    """Return the first element of two arrays that differs more than is tolerated."""
    import numpy as np

    if old.shape != new.shape or old.dtype != new.dtype:
        return f"{old.dtype}{old.shape} -> {new.dtype}{new.shape}"
    if np.issubdtype(old.dtype, np.inexact):
        same = np.isclose(new, old, rtol=comparator.rtol, atol=comparator.atol, equal_nan=True)
    elif np.issubdtype(old.dtype, np.integer):
        # differences of unsigned numbers must not wrap around
        same = np.isclose(
            new.astype(float), old.astype(float), rtol=comparator.rtol, atol=comparator.atol
        )
        same &= (old == new) | bool(comparator.rtol or comparator.atol)
    else:
        same = old == new
    if same.all():
        return None
    at = tuple(int(axis) for axis in np.argwhere(~same)[0])
    place = at[0] if len(at) == 1 else list(at)
    return f"{place}: {old[at]} -> {new[at]}"


def _text(path: Path) -> IO[str]:
    """Open a text, whether it is compressed or not."""
    with path.open("rb") as file:
        compressed = file.read(len(_GZIP)) == _GZIP
    if compressed:
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


_COMPARED: dict[ComparatorKind, Callable[[Comparator, Path, Path], str | None]] = {
    ComparatorKind.JSON: _json,
    ComparatorKind.CSV: _csv,
    ComparatorKind.PARQUET: _parquet,
    ComparatorKind.NPY: _npy,
    ComparatorKind.IMAGE: _image,
    ComparatorKind.TEXT: _lines,
}
