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
    match value:
        case Digest():
            return str(value)
        case enum.Enum():
            return value.value
        case float():
            return value if math.isfinite(value) else None
        case None | str() | int():
            return value
        case Path():
            return str(value)
        case Mapping():
            return {str(getattr(k, "value", k)): plain(item) for k, item in value.items()}
        case tuple() | list() | frozenset():
            return [plain(item) for item in value]
    return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
