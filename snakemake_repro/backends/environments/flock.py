"""Locks between processes of a node that the kernel frees when their holders are gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
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


def make_once(place: Path, fill: Callable[[Path], None]) -> None:
    """Make a directory that many processes need: one makes it, complete or not at all.

    Args:
        place: Absolute; what is there stays as it is.
        fill: Called with an empty directory that becomes this one.

    Raises:
        OSError: It cannot be made.
    """
    if place.is_dir():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f"{place.name}.lock")):
        if place.is_dir():
            return
        building = place.with_name(f".{place.name}.new")
        if building.exists():
            shutil.rmtree(building)
        building.mkdir()
        fill(building)
        building.rename(place)


def in_use(path: Path) -> int:
    """Say that something is used from now on, until the returned descriptor is closed.

    The file's time of modification is that of the last use.

    Raises:
        OSError: The file cannot be opened, or the file system has no locks.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        os.utime(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Keep others from beginning to use something; tell whether nobody uses it now.

    Raises:
        OSError: The file cannot be opened, or the file system has no locks.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
