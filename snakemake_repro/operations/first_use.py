"""Locks on first use: a run makes those that are missing, and they are binding from then on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snakemake_repro.backends.environments.lockfile import UnlockedError, resolve_spec
from snakemake_repro.operations.lock import Locked, lock


def lock_on_first_use(files: Sequence[Path], root: Path) -> tuple[Locked, ...]:
    """Lock the environment files that have no lock, or have changed since theirs was made.

    In the latter case what is locked stays, as far as the file still allows it.

    Args:
        files: Environment files, or locks that the workflow names themselves.
        root: Working directory of the run.

    Raises:
        EnvironmentSpecError: A file cannot be locked.
        EnvironmentBuildError: There is no solution, or index or channel cannot be reached.
        StorageError: A lock cannot be written.
    """
    return lock([file for file in dict.fromkeys(files) if _is_unlocked(file, root)])


def _is_unlocked(file: Path, root: Path) -> bool:
    try:
        resolve_spec(file, root)
    except UnlockedError:
        return True
    return False
