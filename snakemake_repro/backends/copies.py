"""Copies of files that are what a record says, taken from below one directory and nowhere else."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from snakemake_repro.backends.files import TIMESTAMP, holds
from snakemake_repro.errors import StorageError
from snakemake_repro.records import FileKind, FileRecord


def copy_recorded(file: FileRecord, source: Path, target: Path) -> bool:
    """Copy a file or directory if it is there as recorded; tell whether it now is in the target.

    A link that leads out of the source is not followed, and a directory with links in it is not
    copied at all. What is in the target already stays.

    Args:
        file: The file, by a path relative to both directories.
        source: Where it is taken from.
        target: Where it is put.

    Raises:
        StorageError: It cannot be copied.
    """
    here = target / file.path
    if file.digest is None or not _below(source, source / file.path):
        return False
    if os.path.lexists(here):
        return holds(here, file)
    there = source / file.path
    try:
        if file.kind is FileKind.DIRECTORY:
            copied = there.is_dir() and _plain(there)
        else:
            copied = there.is_file()
        if not copied:
            return False
        here.parent.mkdir(parents=True, exist_ok=True)
        if file.kind is FileKind.DIRECTORY:
            shutil.copytree(there, here, ignore=shutil.ignore_patterns(TIMESTAMP))
        else:
            shutil.copyfile(there, here)
    except (FileExistsError, NotADirectoryError):
        return False  # another version of the tree has a file where this one has a directory
    except OSError as exc:
        raise StorageError(f"cannot copy {there} to {here}: {exc.strerror}") from exc
    if holds(here, file):
        return True
    # it is another file by now, or was while it was copied
    shutil.rmtree(here) if here.is_dir() else here.unlink()
    return False


def copy_code(name: str, source: Path, target: Path) -> bool:
    """Copy a file of a checkout if it is one, or a link to one in there; tell whether it is.

    Raises:
        StorageError: It cannot be copied.
    """
    there, here = source / name, target / name
    try:
        if not there.is_file() or not _below(source, there):
            return False
        here.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(there, here)
    except OSError as exc:
        raise StorageError(f"cannot copy {there} to {here}: {exc.strerror}") from exc
    return True


def _below(root: Path, path: Path) -> bool:
    """Tell whether a path leads to something below a directory, links followed."""
    inside = path.is_relative_to(root) and ".." not in path.relative_to(root).parts
    return inside and path.resolve().is_relative_to(root.resolve())


def _plain(top: Path) -> bool:
    """Tell whether a directory holds files and directories only."""
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            mode = (Path(directory) / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return False
    return True
