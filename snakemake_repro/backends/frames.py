"""Frames on a pipe: a JSON header and an opaque payload, each with its length before it."""

from __future__ import annotations

import json
import struct
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:  # whoever starts a gateway ahead must not load all records for it
    from snakemake_repro.records import Json

_LENGTHS = struct.Struct("!II")


def write_frame(stream: IO[bytes], header: Json, payload: bytes = b"") -> None:
    """Write one frame and flush it.

    Raises:
        OSError: The other side is gone.
    """
    head = json.dumps(header, separators=(",", ":")).encode()
    stream.write(_LENGTHS.pack(len(head), len(payload)) + head + payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[Json, bytes] | None:
    """Read one frame; ``None`` when the other side is gone, also in the middle of a frame."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_length, payload_length = _LENGTHS.unpack(lengths)
    body = stream.read(head_length + payload_length)
    if len(body) < head_length + payload_length:
        return None
    return json.loads(body[:head_length]), body[head_length:]
