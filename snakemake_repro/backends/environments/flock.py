"""Locks between processes of a node that the kernel frees when their holders are gone."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the exclusive lock of a file, which is created and never removed.

    Yields:
        The descriptor that holds the lock. A child process that inherits it holds the lock as
        well: what it writes is safe until it has ended, even if this process is killed before.
        (``filelock`` keeps its descriptor to itself.)

    Raises:
        OSError: The file cannot be opened, or the file system has no locks.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
