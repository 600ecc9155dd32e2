"""A content digest: algorithm and value, ``sha256:…``."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Self

from snakemake_repro.errors import RecordError

_SHA256 = re.compile(r"[0-9a-f]{64}")
MIN_PREFIX = 8
"""The shortest digest prefix (in hex characters) that may name an object on a command line."""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest of some bytes.

    SHA-256 everywhere: it is what OCI registries, package indexes and in-toto speak, so that a
    digest found in a record can be looked up elsewhere.

    Attributes:
        value: 64 lower-case hexadecimal characters.
    """

    value: str
    algorithm: str = "sha256"

    @classmethod
    def parse(cls, text: Any) -> Self:
        """Parse ``sha256:<64 hex>``.

        Raises:
            RecordError: The text is anything else.
        """
        if isinstance(text, str):
            algorithm, _, value = text.partition(":")
            if algorithm == "sha256" and _SHA256.fullmatch(value):
                return cls(value)
        raise RecordError(f"expected a digest 'sha256:<64 hex>', got {text!r}")

    def to_json(self) -> str:
        """Return the text form."""
        return str(self)

    @property
    def short(self) -> str:
        """The first 12 hexadecimal characters, for people to read."""
        return self.value[:12]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"
