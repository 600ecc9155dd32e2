"""Files as the record knows them."""

from __future__ import annotations

import dataclasses
import enum

from snakemake_repro.records._fields import Record
from snakemake_repro.records.comparators import Comparator
from snakemake_repro.records.digests import Digest


class FileKind(enum.Enum):
    """What was found at a path."""

    FILE = "file"
    DIRECTORY = "directory"
    PIPE = "pipe"
    MISSING = "missing"
    UNOBSERVED = "unobserved"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FileRecord(Record):
    """One file or directory, by content.

    Attributes:
        path: POSIX path, relative to the working directory of the run where it lies below it,
            else absolute.
        kind: What was found there.
        digest: SHA-256 of the content; for a directory its Merkle digest; ``None`` where nothing
            could be hashed (missing, pipe, not observed), never an empty string.
        size: Bytes; for a directory the sum over its files.
        name: The name that the rule gives it (``input: data=...``), or ``None``.
        flags: Snakemake's markers that matter to a reader: ``temp``, ``protected``, ``touch``,
            ``directory``, ``ensure``, ``pipe``, ``service``, ``update``, ``report``.
        comparator: How a repeat of an output is compared with it, where bytes are too strict.
    """

    path: str
    kind: FileKind = FileKind.FILE
    digest: Digest | None = None
    size: int | None = None
    name: str | None = None
    flags: tuple[str, ...] = ()
    comparator: Comparator | None = None
