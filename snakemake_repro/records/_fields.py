"""Conversion between records and plain JSON data, driven by the dataclass annotations.

The conversion knows what the records are made of and nothing more: scalars, optional values,
enums, tuples, string-keyed mappings, nested records and free JSON. Errors carry the path of the
offending field, in the manner of packaging's ``pylock``: ``expected str, got int in
'jobs[3].rule'``.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Any, Self, TypeAlias, TypeVar, get_args, get_origin

from snakemake_repro.errors import RecordError

Json: TypeAlias = Any
"""None, bool, int, float, str, or lists and string-keyed dicts of these."""

_R = TypeVar("_R", bound="Record")


class _FieldError(Exception):
    """A value does not fit; the path grows while the exception rises."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path

    def under(self, step: str) -> _FieldError:
        glue = "" if not self.path or self.path.startswith("[") else "."
        return _FieldError(self.message, f"{step}{glue}{self.path}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Base of all records: immutable data with a JSON form."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON data; fields that are ``None`` or empty are left out."""
        result: dict[str, Json] = {}
        for name, _, default in _plan(type(self)):
            value = getattr(self, name)
            if value is None or (value == default and not isinstance(value, bool)):
                continue
            result[name] = _encode(value)
        return result

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Self:
        """Build the record from plain JSON data.

        Unknown keys are ignored: a later minor version may add fields.

        Raises:
            RecordError: A field is missing or has the wrong type; the message names its path.
        """
        try:
            return _build(cls, data)
        except _FieldError as exc:
            where = f" in '{exc.path}'" if exc.path else ""
            raise RecordError(f"{cls.__name__}: {exc.message}{where}") from None


_plans: dict[type[Record], tuple[tuple[str, Any, Any], ...]] = {}


def _plan(cls: type[Record]) -> tuple[tuple[str, Any, Any], ...]:
    """Return name, type and default of each field, read from the annotations once."""
    if cls not in _plans:
        _plans[cls] = _read_plan(cls)
    return _plans[cls]


def _read_plan(cls: type[Record]) -> tuple[tuple[str, Any, Any], ...]:
    hints = typing.get_type_hints(cls)
    return tuple(
        (
            field.name,
            hints[field.name],
            field.default_factory()
            if field.default_factory is not dataclasses.MISSING
            else field.default,
        )
        for field in dataclasses.fields(cls)
    )


def _encode(value: Any) -> Json:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if hasattr(value, "to_json"):
        return value.to_json()
    return value


def _build(cls: type[_R], data: Any) -> _R:
    if not isinstance(data, Mapping):
        raise _FieldError(f"expected an object, got {type(data).__name__}")
    values: dict[str, Any] = {}
    for name, hint, default in _plan(cls):
        if name in data:
            try:
                values[name] = _decode(hint, data[name])
            except _FieldError as exc:
                raise exc.under(name) from None
        elif default is dataclasses.MISSING:
            raise _FieldError(f"missing field {name!r}")
    return cls(**values)


def _decode(hint: Any, value: Any) -> Any:
    if hint is Any:
        return value
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not types.NoneType]
        return None if value is None else _decode(options[0], value)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _FieldError(f"expected a list, got {type(value).__name__}")
        return tuple(_decode_item(get_args(hint)[0], item, i) for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        return _decode_mapping(get_args(hint)[1], value)
    if issubclass(hint, Record):
        return _build(hint, value)
    return _decode_scalar(hint, value)


def _decode_mapping(hint: Any, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _FieldError(f"expected an object, got {type(value).__name__}")
    result = {}
    for key, item in value.items():
        try:
            result[str(key)] = _decode(hint, item)
        except _FieldError as exc:
            raise exc.under(str(key)) from None
    return result


def _decode_item(hint: Any, value: Any, index: int) -> Any:
    try:
        return _decode(hint, value)
    except _FieldError as exc:
        raise exc.under(f"[{index}]") from None


def _decode_scalar(hint: Any, value: Any) -> Any:
    if hasattr(hint, "parse"):
        try:
            return hint.parse(value)
        except RecordError as exc:
            raise _FieldError(exc.message) from None
    if issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError:
            known = ", ".join(str(member.value) for member in hint)
            raise _FieldError(f"expected one of {known}, got {value!r}") from None
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise _FieldError(f"expected {hint.__name__}, got {type(value).__name__}")
    return value
