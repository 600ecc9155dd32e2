"""Locks of every kind as files: read if they are there, written completely or not at all."""

from __future__ import annotations

from pathlib import Path

from snakemake_repro.backends.wholefiles import write_whole
from snakemake_repro.errors import StorageError


def read_lock(path: Path) -> bytes | None:
    """Return the content of a lock; ``None`` where there is none.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StorageError(
            f"cannot read the lock {path}: {exc.strerror}", hint="Mend the permissions."
        ) from exc


def write_lock(path: Path, text: str) -> None:
    """Write a lock, and the directory that it is to be in.

    Raises:
        StorageError: It cannot be written.
    """
    write_whole(path, text, "the lock")
