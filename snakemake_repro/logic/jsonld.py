"""Entities of a flat JSON-LD document."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TypeAlias
from urllib.parse import quote

from snakemake_repro.records import Json

Entity: TypeAlias = dict[str, Json]


def entity(identity: str, kind: str | Sequence[str], /, **properties: Json) -> Entity:
    """Return an entity; properties that are ``None`` or empty are left out.

    Args:
        identity: Its identifier.
        kind: Its type or types.
        properties: A list of one becomes that one.
    """
    found: Entity = {"@id": identity, "@type": kind if isinstance(kind, str) else list(kind)}
    for key, value in properties.items():
        if value is None or value in ("", [], ()):
            continue
        single = isinstance(value, list | tuple) and len(value) == 1
        found[key] = value[0] if single else value
    return found


def ref(name: str) -> Entity:
    """Return a reference to an entity."""
    return {"@id": name}


def refs(names: Iterable[str]) -> list[Entity]:
    """Return references to entities, to each of them once."""
    return [ref(name) for name in dict.fromkeys(names)]


def local(*parts: str) -> str:
    """Return the identifier of something that is in the document only."""
    return "#" + "-".join(quote(part, safe="", errors="surrogateescape") for part in parts)


def path_id(path: str) -> str:
    """Return the identifier of a file beside the document."""
    return quote(path, errors="surrogateescape")


def readable(text: str) -> str:
    """Return a text that is UTF-8, whatever bytes stood in it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def moment(at: str | None) -> str | None:
    """Return a moment to the millisecond, as JSON-LD vocabularies have it."""
    return None if at is None else dt.datetime.fromisoformat(at).isoformat(timespec="milliseconds")
