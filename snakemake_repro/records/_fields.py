"""Conversion between records and plain JSON data, driven by the dataclass annotations.

The conversion knows what the records are made of and nothing more: scalars, optional values,
enums, tuples, string-keyed mappings, nested records and free JSON. Errors carry the path of the
offending field, in the manner of packaging's ``pylock``: ``expected str, got int in
'jobs[3].rule'``.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeAlias, TypeVar, get_args, get_origin

from snakemake_repro.errors import RecordError

Json: TypeAlias = Any
"""None, bool, int, float, str, or lists and string-keyed dicts of these."""

_R = TypeVar("_R", bound="Record")
_Decoder: TypeAlias = Callable[[Any], Any]


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


_plans: dict[type[Record], tuple[tuple[str, _Decoder, Any], ...]] = {}


def _plan(cls: type[Record]) -> tuple[tuple[str, _Decoder, Any], ...]:
    """Return name, decoder and default of each field, read from the annotations once."""
    if cls not in _plans:
        _plans[cls] = _read_plan(cls)
    return _plans[cls]


def _read_plan(cls: type[Record]) -> tuple[tuple[str, _Decoder, Any], ...]:
    hints = typing.get_type_hints(cls)
    return tuple(
        (
            field.name,
            _decoder(hints[field.name]),
            field.default_factory()
            if field.default_factory is not dataclasses.MISSING
            else field.default,
        )
        for field in dataclasses.fields(cls)
    )


_PLAIN = frozenset((str, int, float, bool, types.NoneType))


def _encode(value: Any) -> Json:
    if type(value) in _PLAIN:  # nearly all are
        return value
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
    for name, decode, default in _plan(cls):
        if name in data:
            try:
                values[name] = decode(data[name])
            except _FieldError as exc:
                raise exc.under(name) from None
        elif default is dataclasses.MISSING:
            raise _FieldError(f"missing field {name!r}")
    return cls(**values)


@functools.cache
def _decoder(hint: Any) -> _Decoder:
    """Return what makes a value of a type from JSON data; asking types takes longer than data."""
    if hint is Any:
        return _same
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        [option] = (option for option in get_args(hint) if option is not types.NoneType)
        return functools.partial(_decode_optional, _decoder(option))
    if origin is tuple:
        return functools.partial(_decode_items, _decoder(get_args(hint)[0]))
    if origin is not None and issubclass(origin, Mapping):
        return functools.partial(_decode_mapping, _decoder(get_args(hint)[1]))
    if issubclass(hint, Record):
        return functools.partial(_build, hint)
    if hasattr(hint, "parse"):
        return functools.partial(_parse, hint)
    if issubclass(hint, enum.Enum):
        return functools.partial(_decode_member, hint)
    return functools.partial(_decode_scalar, hint)


def _same(value: Any) -> Any:
    return value


def _decode_optional(decode: _Decoder, value: Any) -> Any:
    return None if value is None else decode(value)


def _decode_items(decode: _Decoder, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _FieldError(f"expected a list, got {type(value).__name__}")
    result = []
    for index, item in enumerate(value):
        try:
            result.append(decode(item))
        except _FieldError as exc:
            raise exc.under(f"[{index}]") from None
    return tuple(result)


def _decode_mapping(decode: _Decoder, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _FieldError(f"expected an object, got {type(value).__name__}")
    result = {}
    for key, item in value.items():
        try:
            result[str(key)] = decode(item)
        except _FieldError as exc:
            raise exc.under(str(key)) from None
    return result


def _parse(kind: Any, value: Any) -> Any:
    try:
        return kind.parse(value)
    except RecordError as exc:
        raise _FieldError(exc.message) from None


def _decode_member(kind: type[enum.Enum], value: Any) -> enum.Enum:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise _FieldError(f"expected one of {known}, got {value!r}") from None


def _decode_scalar(kind: type, value: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _FieldError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
