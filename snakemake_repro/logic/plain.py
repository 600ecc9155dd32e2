"""Python values as JSON and back, exactly or not at all.

The direct tier ships a rule's params, config and named file lists as data. Values that JSON
cannot hold one to one (tuples, sets, paths, bytes, dicts with other keys than strings, NaN) are
tagged; anything else raises ``NotPlainError``, and the job takes the other tier, which reads the
value from the Snakefile itself.
"""

from __future__ import annotations

import base64
import math
from pathlib import Path, PosixPath
from typing import Any

from snakemake_repro.records import Json

_TAG = "$"


class NotPlainError(Exception):
    """A value is not plain data; the message names its type."""


def encode(value: Any) -> Json:
    """Return the JSON form of a plain value.

    Raises:
        NotPlainError: The value, or one inside it, is of another type. Subclasses count as
            other types: they may behave differently.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {_TAG: "float", "v": repr(value)}
    if kind is list:
        return [encode(item) for item in value]
    if kind is dict:
        if all(type(key) is str for key in value) and _TAG not in value:
            return {key: encode(item) for key, item in value.items()}
        return {_TAG: "dict", "v": [[encode(k), encode(v)] for k, v in value.items()]}
    if kind is tuple:
        return {_TAG: "tuple", "v": [encode(item) for item in value]}
    if kind in (set, frozenset):
        return {_TAG: kind.__name__, "v": [encode(item) for item in value]}
    if kind in (Path, PosixPath):
        return {_TAG: "path", "v": str(value)}
    if kind is bytes:
        return {_TAG: "bytes", "v": base64.b64encode(value).decode("ascii")}
    raise NotPlainError(f"{kind.__module__}.{kind.__qualname__}")


def decode(data: Json) -> Any:  # noqa: C901 - likewise
    """Return the value that ``encode`` was given."""
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    tag = data.get(_TAG)
    if tag is None:
        return {key: decode(item) for key, item in data.items()}
    value = data["v"]
    match tag:
        case "float":
            return float(value)
        case "dict":
            return {decode(k): decode(v) for k, v in value}
        case "tuple":
            return tuple(decode(item) for item in value)
        case "set":
            return {decode(item) for item in value}
        case "frozenset":
            return frozenset(decode(item) for item in value)
        case "path":
            return Path(value)
        case "bytes":
            return base64.b64decode(value)
        case _:
            raise ValueError(f"unknown tag {tag!r}")


def describe(value: Any) -> Json:
    """Return JSON for the record: like ``encode`` without tags, other types by their name.

    What cannot be written down exactly is named by type only: its ``repr`` may hold an address
    that changes from run to run.
    """
    if value is None or isinstance(value, bool | int | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((describe(item) for item in value), key=repr)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return describe(value.item())
    return {"type": f"{type(value).__module__}.{type(value).__qualname__}"}
