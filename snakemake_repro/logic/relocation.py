"""Paths of one machine, as they are on another."""

from __future__ import annotations

from collections.abc import Mapping

from snakemake_repro.records import Json

OUTSIDE = ".repro/sources"
"""Below it, on a node that shares no files, are sources from outside the working directory."""

_SCHEME = "file://"


def relocate(text: str, moves: Mapping[str, str]) -> str:
    """Return a path as it is elsewhere; what is no path below a moved one stays as it is.

    Args:
        text: A path, or a ``file://`` address.
        moves: Directory here -> directory there; the longest that fits counts.
    """
    if text.startswith(_SCHEME):
        return _SCHEME + relocate(text.removeprefix(_SCHEME), moves)
    for place in sorted(moves, key=len, reverse=True):
        if text == place or text.startswith(f"{place.rstrip('/')}/"):
            return moves[place] + text[len(place.rstrip("/")) :]
    return text


def mentions(data: Json, place: str) -> bool:
    """Tell whether a directory's path stands anywhere in some values."""
    if isinstance(data, str):
        return place in data
    if isinstance(data, dict):
        return any(mentions(key, place) or mentions(item, place) for key, item in data.items())
    if isinstance(data, list | tuple):
        return any(mentions(item, place) for item in data)
    return False
