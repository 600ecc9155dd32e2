"""Gzip files without the time and the name that their headers hold.

What is compressed stays as it is, block by block: indexes into files of many blocks (BGZF) go on
pointing to the right places as long as a block's header held neither.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from typing import IO

from snakemake_repro.errors import RecordError

_MAGIC = b"\x1f\x8b\x08"
_EXTRA, _NAME, _COMMENT, _HEADER_CRC = 4, 8, 16, 2
_RESERVED = 0xE0
_UNKNOWN_SYSTEM = 255
_CHUNK = 1 << 18


def rewrite(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a gzip file, each of its members with a header that says as little as it may.

    Raises:
        RecordError: It is damaged or none.
    """
    count = 0
    while (magic := source.read(3)) == _MAGIC:
        _copy_header(source, target)
        _copy_body(source, target)
        count += 1
    # tapes are padded with zeros, and gzip itself takes no notice of them
    while count and magic and not magic.strip(b"\0"):
        magic = source.read(_CHUNK)
    if magic or not count:
        raise RecordError(
            f"expected a gzip file, got one with {magic[:3]!r} after {count} complete members"
        )


def _copy_header(source: IO[bytes], target: IO[bytes]) -> None:
    flags, _time, effort, _system = struct.unpack("<BLBB", _exactly(source, 7))
    if flags & _RESERVED:
        raise RecordError(f"expected a gzip file, got one with unknown flags {flags:#x}")
    kept = _MAGIC + struct.pack("<BLBB", flags & _EXTRA, 0, effort, _UNKNOWN_SYSTEM)
    if flags & _EXTRA:
        length = _exactly(source, 2)
        kept += length + _exactly(source, int.from_bytes(length, "little"))
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            while _exactly(source, 1) != b"\0":
                pass
    if flags & _HEADER_CRC:
        _exactly(source, 2)
    target.write(kept)


@dataclasses.dataclass(slots=True)
class _Sum:
    """What the end of a member says of its content."""

    crc: int = 0
    length: int = 0

    def add(self, data: bytes) -> None:
        self.crc = zlib.crc32(data, self.crc)
        self.length = (self.length + len(data)) & 0xFFFFFFFF


def _copy_body(source: IO[bytes], target: IO[bytes]) -> None:
    inflater, found = zlib.decompressobj(-zlib.MAX_WBITS), _Sum()
    while not inflater.eof:
        chunk = source.read(_CHUNK)
        if not chunk:
            raise RecordError("expected a complete gzip file, got the beginning of one")
        try:
            found.add(inflater.decompress(chunk, _CHUNK))
            while inflater.unconsumed_tail:
                found.add(inflater.decompress(inflater.unconsumed_tail, _CHUNK))
        except zlib.error as exc:
            raise RecordError(f"expected a gzip file, got a damaged one: {exc}") from exc
        target.write(chunk[: len(chunk) - len(inflater.unused_data)])
    source.seek(-len(inflater.unused_data), 1)
    trailer = _exactly(source, 8)
    if struct.unpack("<LL", trailer) != (found.crc, found.length):
        raise RecordError("expected a gzip file, got a damaged one: its checksum is another")
    target.write(trailer)


def _exactly(source: IO[bytes], length: int) -> bytes:
    data = source.read(length)
    if len(data) != length:
        raise RecordError("expected a complete gzip file, got the beginning of one")
    return data
