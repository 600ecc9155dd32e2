"""What became of a job's files since it ran."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from snakemake_repro.backends.files import observe
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.change import Change, ChangeKind
from snakemake_repro.operations.lineage import QUICKLY_HASHED
from snakemake_repro.records import FileKind, FileRecord, JobRecord

_BY_DESIGN = frozenset(("temp", "pipe", "service"))


def changed_since(record: JobRecord, workdir: Path) -> tuple[Change, ...]:
    """Return the inputs and outputs of a job that are not on disk as they were.

    Nothing is said where none of its files is there: then this is not where it ran. Large files
    count as unchanged while they have the recorded size.
    """
    files = [
        *((ChangeKind.INPUT, file) for file in record.spec.inputs),
        *((ChangeKind.OUTPUTS, file) for file in record.outputs),
    ]
    if not any(os.path.lexists(workdir / file.path) for _, file in files):
        return ()
    return tuple(
        Change(kind=kind, name=file.path, old=str(file.digest), new=now)
        for kind, file in files
        if file.digest is not None and not _BY_DESIGN & set(file.flags)
        for now in _other(file, workdir / file.path)
    )


def _other(file: FileRecord, path: Path) -> Iterator[str | None]:
    """Yield what is there if it is not what was recorded."""
    try:
        size = path.stat().st_size
        if file.kind is FileKind.FILE and size == file.size and size > QUICKLY_HASHED:
            return
        seen = observe(path, root=path.parent)
    except FileNotFoundError:
        yield None
        return
    except (OSError, StorageError):
        yield "unreadable"
        return
    if seen.digest != file.digest:
        yield None if seen.kind is FileKind.MISSING else str(seen.digest or seen.kind.value)
