"""SVG pictures of Matplotlib without the date, their random names numbered."""

from __future__ import annotations

import re
from typing import IO
from xml.etree import ElementTree as ET

from snakemake_repro.errors import RecordError

_DATE = re.compile(rb"\s*<dc:date>[^<]*</dc:date>")
_HASHED = rb"(?:[hmp]|image|Im_|C[0-9a-f]+_[0-9a-f]+_)"
"""What Matplotlib puts before ten digits of a hash with a random salt, in the names of hatches,
markers, clip paths, images and the paths of collections."""
_DEFINED = re.compile(rb'\bid="(' + _HASHED + rb')([0-9a-f]{10})"')
_NAMED = re.compile(rb'(\bid="|#)(' + _HASHED + rb")([0-9a-f]{10})(?![\w.-])")
_ROOT = "{http://www.w3.org/2000/svg}svg"


def rewrite(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy an SVG picture; what names each other's random names still does.

    Raises:
        RecordError: It is no SVG picture.
    """
    data = source.read()
    try:
        root = ET.fromstring(data)  # noqa: S314 - expat itself limits what entities expand to
    except ET.ParseError as exc:
        raise RecordError(f"expected an SVG picture, got no valid XML: {exc}") from exc
    if root.tag != _ROOT:
        raise RecordError(f"expected an SVG picture, got XML with the root {root.tag}")
    numbers: dict[bytes, bytes] = {}
    for kind, digits in _DEFINED.findall(data):
        numbers.setdefault(kind + digits, kind + b"%010x" % len(numbers))

    def numbered(match: re.Match[bytes]) -> bytes:
        name = match[2] + match[3]
        return match[1] + numbers.get(name, name)

    target.write(_NAMED.sub(numbered, _DATE.sub(b"", data)))
