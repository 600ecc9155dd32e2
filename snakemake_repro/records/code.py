"""Code as text: what a digest in a job spec stands for."""

from __future__ import annotations

import dataclasses

from snakemake_repro.records._fields import Record
from snakemake_repro.records.digests import Digest


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CodeText(Record):
    """The text of one piece of code, kept so that two versions of it can be compared.

    Attributes:
        digest: As a job spec names it: of the text as it ran, secrets included.
        text: With secrets redacted.
        name: File name, for readers; ``None`` for code that stands in the Snakefile.
    """

    digest: Digest
    text: str
    name: str | None = None
