"""JSON output: one object with a schema number, every field always present."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from snakemake_repro.records import Digest, Json

SCHEMA = 1
"""Raised when a field changes its meaning or goes away; added fields do not raise it."""


def emit(data: Mapping[str, Any]) -> None:
    """Print one JSON object; odd characters are escaped, so that it is plain ASCII."""
    document = {"schema": SCHEMA, **{key: plain(value) for key, value in data.items()}}
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def plain(value: Any) -> Json:
    """Return data of our types as JSON data; numbers that JSON cannot hold become null."""
    result: Json
    match value:
        case Digest() | Path():
            result = str(value)
        case enum.Enum():
            result = value.value
        case float():
            result = value if math.isfinite(value) else None
        case None | str() | int():
            result = value
        case Mapping():
            result = {str(getattr(k, "value", k)): plain(item) for k, item in value.items()}
        case tuple() | list() | frozenset():
            result = [plain(item) for item in value]
        case _:
            fields = dataclasses.fields(value)
            result = {field.name: plain(getattr(value, field.name)) for field in fields}
    return result
