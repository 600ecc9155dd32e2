"""What a program file says of how it is started."""

from __future__ import annotations

import struct

_ELF, _SCRIPT = b"\x7fELF", b"#!"
_64_BIT, _LITTLE = 2, 1
_HEADER = 64
_ENTRY = 56
_INTERPRETER = 3
"""The entry of a program header that names the loader (PT_INTERP), see elf(5)."""


def interpreter_of(head: bytes) -> str | None:
    """Return the interpreter of a script, or the loader of a program that is linked dynamically.

    Args:
        head: The first few thousand bytes of the file.

    Returns:
        ``None`` for anything else; programs of 32 bits and of the other byte order are not read.
    """
    if head.startswith(_SCRIPT):
        words = head[len(_SCRIPT) :].partition(b"\n")[0].split()
        return words[0].decode(errors="replace") if words else None
    if not head.startswith(_ELF) or len(head) < _HEADER or (head[4], head[5]) != (_64_BIT, _LITTLE):
        return None
    table, size, count = struct.unpack_from("<32xQ14xHH", head)
    for start in range(table, min(table + count * size, len(head) - _ENTRY), size or _ENTRY):
        kind, offset, length = struct.unpack_from("<I4xQ16xQ", head, start)
        if kind == _INTERPRETER:
            return head[offset : offset + length].rstrip(b"\0").decode(errors="replace")
    return None
