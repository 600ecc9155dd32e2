"""Zip archives whose members have one time, and the order of their names; Keras models likewise."""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from snakemake_repro.errors import RecordError

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that the format knows."""
_ENCRYPTED = 0x1
_CHUNK = 1 << 20

Change = Callable[[bytes], bytes]


def rewrite(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a zip archive, its members in the order of their names, compressed anew.

    Raises:
        RecordError: It is damaged or none, is encrypted, or holds a name twice.
    """
    with _opened(source) as archive:
        _copy(archive, target, {})


def rewrite_keras(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a Keras model likewise, without the date, its objects numbered as they come.

    Raises:
        RecordError: It is damaged or none.
    """
    with _opened(source) as archive:
        if "config.json" not in archive.namelist():
            raise RecordError("expected a Keras model, got an archive without config.json")
        changes: dict[str, Change] = {"config.json": _numbered, "metadata.json": _undated}
        _copy(archive, target, changes)


@contextlib.contextmanager
def _opened(source: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError) as exc:
        raise RecordError(f"expected a complete zip archive, got a damaged one: {exc}") from exc


def _copy(archive: zipfile.ZipFile, target: IO[bytes], changes: dict[str, Change]) -> None:
    members = sorted(archive.infolist(), key=lambda member: member.filename)
    if len({member.filename for member in members}) != len(members):
        raise RecordError(
            "expected every name once, got some twice: which of them counts is not certain",
            hint="Unpack the archive, and pack it anew.",
        )
    with zipfile.ZipFile(target, "w") as made:
        made.comment = archive.comment
        for member in members:
            if member.flag_bits & _ENCRYPTED:
                raise RecordError(f"{member.filename!r} is encrypted")
            bare = _bare(member)
            if change := changes.get(member.filename):
                made.writestr(bare, change(archive.read(member)))
                continue
            with archive.open(member) as content, made.open(bare, "w") as file:
                shutil.copyfileobj(content, file, _CHUNK)


def _bare(member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    bare = zipfile.ZipInfo(member.filename, _EPOCH)
    bare.compress_type = member.compress_type
    bare.external_attr = member.external_attr
    bare.create_system = member.create_system
    bare.comment = member.comment
    # it decides the format of the member's header, which must not depend on how it was written
    bare.file_size = member.file_size
    return bare


def _undated(text: bytes) -> bytes:
    """Return what Keras says of a model, without the date."""
    data = _json(text)
    if isinstance(data, dict):
        data.pop("date_saved", None)
    return json.dumps(data).encode()


def _numbered(text: bytes) -> bytes:
    """Return the configuration of a model, its objects numbered where addresses named them."""
    return json.dumps(_with_numbers(_json(text), {})).encode()


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise RecordError(f"expected a Keras model, got one with damaged JSON: {exc}") from exc


def _with_numbers(data: Any, numbers: dict[int, int]) -> Any:
    if isinstance(data, list):
        return [_with_numbers(item, numbers) for item in data]
    if not isinstance(data, dict):
        return data
    return {
        key: numbers.setdefault(value, len(numbers))
        if key == "shared_object_id" and isinstance(value, int)
        else _with_numbers(value, numbers)
        for key, value in data.items()
    }
