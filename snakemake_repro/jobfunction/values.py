"""Values as a function's annotations want them: text becomes a number, a path a ``Path``."""

from __future__ import annotations

import inspect
import pathlib
import typing
from collections.abc import Callable
from typing import Any

from snakemake_repro.jobfunction.problems import JobError

_NAMES = {int: "a whole number", float: "a number", bool: "true or false"}
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function's parameters; none where they cannot be resolved."""
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - it is the user's text, which this Python need not know
        return {}


def kind_of(annotation: Any) -> type | None:
    """Return which of ``int, float, bool, str, Path`` an annotation means; ``X | None`` means X."""
    annotation = _without_none(annotation)
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, pathlib.PurePath):
        return pathlib.Path
    return annotation if annotation in (int, float, bool, str) else None


def item_of(annotation: Any) -> type | None:
    """Return the kind of the items that a list, tuple or sequence is annotated with."""
    annotation = _without_none(annotation)
    parts = getattr(annotation, "__args__", None) or ()
    return kind_of(parts[0]) if parts and is_list(annotation, None) else None


def is_list(annotation: Any, default: Any) -> bool:
    """Tell whether a parameter holds several values, by its annotation or else its default."""
    if annotation is inspect.Parameter.empty:
        return isinstance(default, (list, tuple))
    annotation = _without_none(annotation)
    origin = getattr(annotation, "__origin__", annotation)
    return isinstance(origin, type) and (
        issubclass(origin, (list, tuple)) or getattr(origin, "__name__", "") == "Sequence"
    )


def _without_none(annotation: Any) -> Any:
    parts = getattr(annotation, "__args__", None) or ()
    if type(None) not in parts:
        return annotation
    others = [part for part in parts if part is not type(None)]
    return others[0] if len(others) == 1 else None


def converted(value: Any, annotation: Any, name: str) -> Any:
    """Return a value as it is annotated; what is no text stays as it is.

    Raises:
        JobError: A text means no such value.
    """
    if isinstance(value, (list, tuple)):
        item = item_of(annotation)
        if item is None:
            return value  # Snakemake's own lists have names
        return [from_text(v, item, name) if isinstance(v, str) else v for v in value]
    return from_text(value, kind_of(annotation), name) if isinstance(value, str) else value


def from_text(text: str, kind: type | None, name: str) -> Any:
    """Return what a text means as one of ``kind_of``'s kinds; ``None`` leaves it as it is.

    Raises:
        JobError: It means none.
    """
    if kind is None:
        return text
    try:
        return _BOOLS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise JobError(f"expected {_NAMES[kind]} as {name}, got {text!r}") from None


def guessed(text: str) -> Any:
    """Return the number that a text of the command line looks like, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
