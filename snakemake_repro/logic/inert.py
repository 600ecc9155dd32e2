"""Text in which nothing can act on a terminal."""

from __future__ import annotations

_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'"}
_BYTES = range(0xDC80, 0xDD00)
"""Surrogates that stand for bytes which are not UTF-8."""


def inert(text: str, *, lines: bool = False) -> str:
    """Return a text in which nothing can act on a terminal.

    Args:
        text: Any text.
        lines: Keep line breaks and tabs.
    """
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else escaped(c) for c in text)


def escaped(char: str) -> str:
    """Return a character as it would be written in a string."""
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if code in _BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:  # noqa: PLR2004 - ASCII
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - 16 bits
