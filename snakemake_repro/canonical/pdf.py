"""PDF documents with dates and identifiers overwritten in their places.

Nothing changes its length, so the table of where the objects are stays right. What cannot be
reached like that is refused: better an error than a file that differs the next time.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import IO

from snakemake_repro.errors import RecordError

_STREAM = re.compile(rb"(\bstream\r?\n.*?\bendstream\b)", re.DOTALL)
_DATE_KEY = re.compile(rb"/(?:CreationDate|ModDate|LastModified)\b")
_DATED = re.compile(rb"/(?:CreationDate|ModDate|LastModified)\s*\(D:[0-9]{4,14}[0-9Zz+'-]*\)")
_DATE = re.compile(
    rb"(/(?:CreationDate|ModDate|LastModified|M)\s*\()(D:[0-9]{4,14}[0-9Zz+'-]*)(?=\))"
)
_ID_KEY = re.compile(rb"/ID\s*\[")
_ID = re.compile(rb"(/ID\s*\[\s*<)([0-9A-Fa-f\s]*)(>\s*<)([0-9A-Fa-f\s]*)(?=>\s*\])")
_XMP_DATE = re.compile(
    rb"(\b(?:xmp|xap):(?:CreateDate|ModifyDate|MetadataDate)(?:>|=[\"']))([0-9TZ:.+-]*)"
)
_XMP_ID = re.compile(
    rb"(\b(?:xmpMM|xapMM):(?:DocumentID|InstanceID|VersionID)(?:>|=[\"'])(?:[\w.]+:)*)"
    rb"([0-9A-Fa-f-]*)"
)
_REFUSED = {
    re.compile(rb"/Encrypt\b"): "an encrypted one, whose identifier is part of the key",
    re.compile(rb"/ByteRange\b"): "a signed one, whose signature would no longer hold",
    re.compile(rb"/Type\s*/ObjStm\b"): "one with packed objects, where dates are out of reach",
}
_METADATA = re.compile(rb"/Type\s*/Metadata\b")
_HEX_DIGIT = re.compile(rb"[0-9A-Fa-f]")
_DIGIT = re.compile(rb"[0-9]")
_WEST = re.compile(rb"-(\d\d\D?\d\d\D?)$")
_HINT = "Write it as PDF 1.4, neither encrypted nor signed."
_NEVER = b"19700101000000"
"""Digits of the date that stands for all, whatever stands between them."""


def rewrite(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a PDF document with one date, and an identifier made of its content.

    Raises:
        RecordError: It is damaged or none, or holds dates that cannot be overwritten.
    """
    data = source.read()
    if not data.startswith(b"%PDF-") or b"%%EOF" not in data[-1024:]:
        raise RecordError("expected a complete PDF document, got none, or the beginning of one")
    # text and streams take turns
    parts = _STREAM.split(data)
    for text in parts[::2]:
        _check(text)
    parts[::2] = [_DATE.sub(_undated, text) for text in parts[::2]]
    parts[1::2] = [_XMP_DATE.sub(_undated, stream) for stream in parts[1::2]]
    digest = hashlib.sha256(b"".join(_identified(parts, "0"))).hexdigest()
    target.writelines(_identified(parts, digest))


def _check(text: bytes) -> None:
    """Check that everything between two streams is such as can be overwritten."""
    for pattern, what in _REFUSED.items():
        if pattern.search(text):
            raise RecordError(f"expected a plain PDF document, got {what}", hint=_HINT)
    # the dictionary of the stream that follows stands at the end
    dictionary = text[text.rfind(b"obj") :]
    if _METADATA.search(dictionary) and b"/Filter" in dictionary:
        what = "one with packed metadata, where dates are out of reach"
        raise RecordError(f"expected a plain PDF document, got {what}", hint=_HINT)
    for key, form, what in ((_DATE_KEY, _DATED, "a date"), (_ID_KEY, _ID, "an identifier")):
        if len(key.findall(text)) != len(form.findall(text)):
            raise RecordError(f"expected a plain PDF document, got {what} in an unknown form")


def _identified(parts: list[bytes], digits: str) -> list[bytes]:
    """Return the pieces with all identifiers made of these digits, over and over."""

    def filled(data: bytes) -> bytes:
        digit = itertools.cycle(digits.encode())
        return _HEX_DIGIT.sub(lambda _old: bytes([next(digit)]), data)

    def text_id(match: re.Match[bytes]) -> bytes:
        return match[1] + filled(match[2]) + match[3] + filled(match[4])

    def xmp_id(match: re.Match[bytes]) -> bytes:
        return match[1] + filled(match[2])

    made = list(parts)
    made[::2] = [_ID.sub(text_id, text) for text in parts[::2]]
    made[1::2] = [_XMP_ID.sub(xmp_id, stream) for stream in parts[1::2]]
    return made


def _undated(match: re.Match[bytes]) -> bytes:
    """Return a date of the same length, in the same form, that stands for all dates."""
    digits = itertools.chain(_NEVER, itertools.repeat(ord("0")))
    date = _DIGIT.sub(lambda _old: bytes([next(digits)]), match[2])
    # west of Greenwich or east of it: no time has passed there either
    return match[1] + _WEST.sub(rb"+\1", date)
