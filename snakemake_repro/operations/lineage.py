"""Trace where a file came from, or what was made of it."""

from __future__ import annotations

import dataclasses
import enum
import stat
from collections.abc import Sequence
from pathlib import Path

from snakemake_repro.backends.files import observe
from snakemake_repro.backends.index import Index
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.lineage import MAX_DEPTH, FileNode, downstream, upstream
from snakemake_repro.operations.access import Found, find_files
from snakemake_repro.records import Digest, FileKind

QUICKLY_HASHED = 256 * 1024 * 1024
"""Bytes that are hashed without being asked to: a fraction of a second."""


class OnDisk(enum.Enum):
    """How the file on disk compares with the one that is traced."""

    IDENTICAL = "identical"
    DIFFERS = "differs"
    ABSENT = "absent"
    NOT_COMPARED = "not compared"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """The lineage of one file.

    Attributes:
        tree: From the file to its origins, or to everything made of it.
        on_disk: ``NOT_COMPARED`` for directories and large files.
    """

    tree: FileNode
    on_disk: OnDisk


def lineage(
    index: Index,
    name: str,
    workdir: Path,
    *,
    down: bool = False,
    depth: int | None = None,
    width: int | None = None,
) -> Sequence[Trace]:
    """Return the lineage of what a user names: one trace, or one per path for a digest.

    The bytes on disk decide: where a path was written several times, its present content is
    traced, and the last recorded one only where the present content is in no record.

    Args:
        index: The record.
        name: A path or a digest prefix.
        workdir: Paths are relative to it.
        down: Trace what was made of the file.
        depth: Jobs in a row at most.
        width: Files made by one rule that are shown at most of one job.

    Raises:
        NotFoundError: The record does not know it.
        UsageError: The name is ambiguous.
    """
    walk = downstream if down else upstream
    depth = MAX_DEPTH if depth is None else depth
    traces = []
    for file in find_files(index, name, workdir):
        digest, on_disk = _compared(index, file, workdir)
        tree = walk(index, file.path, digest, depth=depth, width=width)
        traces.append(Trace(tree=tree, on_disk=on_disk))
    return tuple(traces)


def _compared(index: Index, file: Found, workdir: Path) -> tuple[Digest | None, OnDisk]:
    """Return the bytes to trace, and how those on disk compare with them."""
    exists, present = _present(workdir / file.path)
    known = _known(index, file.path)
    digest = file.digest or (present if present in known else next(iter(known), None))
    if not exists:
        return digest, OnDisk.ABSENT
    if present is None or digest is None:
        return digest, OnDisk.NOT_COMPARED
    return digest, OnDisk.IDENTICAL if present == digest else OnDisk.DIFFERS


def _known(index: Index, path: str) -> list[Digest]:
    """Return the digests that a path ever had, written ones first, newest first."""
    made = [seen.file.digest for seen in index.makers(path) if seen.step.stands]
    read = [seen.file.digest for seen in index.readers(path)]
    return [digest for digest in dict.fromkeys((*made, *read)) if digest is not None]


def _present(path: Path) -> tuple[bool, Digest | None]:
    """Return whether a file exists, and its digest where that is quickly had."""
    try:
        found = path.stat()
    except OSError:
        return False, None
    if not stat.S_ISREG(found.st_mode) or found.st_size > QUICKLY_HASHED:
        return True, None
    try:
        record = observe(path, root=path.parent)
    except StorageError:  # where the file comes from can be told without reading it
        return True, None
    return record.kind is not FileKind.MISSING, record.digest
