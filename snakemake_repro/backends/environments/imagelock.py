"""The lock of a workflow's container images on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from snakemake_repro.backends.environments.lockio import read_lock, write_lock
from snakemake_repro.backends.files import recorded_path
from snakemake_repro.logic.images import ImageLock
from snakemake_repro.records import Digest, FileRecord

NAME = "containers.lock.yml"
_FOLDER = "envs"


def image_lock_path(snakefile: Path) -> Path:
    """Return where the lock of a workflow's images is, or is to be.

    It stands in ``envs`` beside the Snakefile, or one directory above it as in the usual layout
    ``workflow/Snakefile``: where there is a lock already, else where there is such a directory.
    """
    beside = snakefile.parent / _FOLDER / NAME
    above = snakefile.parent.parent / _FOLDER / NAME
    for path in (beside, above):
        if path.exists():
            return path
    return above if above.parent.is_dir() and not beside.parent.is_dir() else beside


def read_image_lock(path: Path) -> ImageLock | None:
    """Read a lock; ``None`` where there is none.

    Raises:
        EnvironmentSpecError: It is no lock, or of a newer version.
        StorageError: It cannot be read.
    """
    content = read_lock(path)
    if content is None:
        return None
    text = content.decode("utf-8", "replace")
    return ImageLock.parse(text, name=str(path))


def write_image_lock(path: Path, lock: ImageLock) -> None:
    """Write a lock, completely or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    write_lock(path, lock.to_text())


def lock_record(path: Path, root: Path) -> FileRecord:
    """Return a lock as records name it."""
    content = path.read_bytes()
    digest = Digest(hashlib.sha256(content).hexdigest())
    return FileRecord(path=recorded_path(path, root), digest=digest, size=len(content))
