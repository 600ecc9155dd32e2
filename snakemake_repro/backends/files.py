"""Files and directories by content: SHA-256, read once, noticed when they change meanwhile."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat as modes
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from snakemake_repro.backends.maphash import hash_apart
from snakemake_repro.backends.statcache import StatCache, now_ns
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.records import Digest, FileKind, FileRecord, Json

DIRECTORY_TAG = "Directory/1"
"""Raise the number whenever the digest of a directory changes its meaning; a test pins it."""

TIMESTAMP = ".snakemake_timestamp"
"""Snakemake's own mark in directories that are outputs."""

_LARGE = 256 * 1024 * 1024
"""Bytes from which on a process of its own costs less than it spares."""

_TRIES = 3
_GONE = (errno.ENOENT, errno.ENOTDIR)


class _UnsteadyError(StorageError):
    """A file was written to, each time it was read."""


def hash_file(path: Path) -> tuple[Digest, int]:
    """Return the SHA-256 and the size in bytes of a regular file's content.

    A file that changes while it is read is read again, a few times.

    Raises:
        StorageError: It is missing, cannot be read, is no regular file, or never stands still.
    """
    try:
        digest, stat = _steady(path, None)
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    return digest, stat.st_size


def observe(
    path: Path,
    *,
    root: Path,
    name: str | None = None,
    flags: Sequence[str] = (),
    cache: StatCache | None = None,
) -> FileRecord:
    """Return what stands at a path; a symbolic link is followed.

    A directory is known by its Merkle digest: sorted names, digests of files and directories, the
    text of symbolic links; permissions, owners and times do not count, Snakemake's time stamp
    file neither. What keeps changing while it is read, and what has no content (a socket, a
    device), is ``UNOBSERVED``.

    Args:
        path: Absolute, or relative to the current directory.
        root: Working directory of the run; paths below it are recorded relative to it.
        name: The name the rule gives the file.
        flags: Snakemake's markers of the file.
        cache: Spares reading files that were hashed before; new digests are added.

    Raises:
        StorageError: Something is there but cannot be read.
    """
    kind, digest, size = FileKind.UNOBSERVED, None, None
    try:
        stat = path.stat()
        if modes.S_ISREG(stat.st_mode):
            digest, stat = _known(path, stat, cache)
            kind, size = FileKind.FILE, stat.st_size
        elif modes.S_ISDIR(stat.st_mode):
            digest, size = _hash_directory(path, cache)
            kind = FileKind.DIRECTORY
        elif modes.S_ISFIFO(stat.st_mode):
            kind = FileKind.PIPE
    except _UnsteadyError:
        pass  # said by its kind
    except OSError as exc:
        if exc.errno not in _GONE:
            raise _unreadable(path, exc) from exc
        kind = FileKind.MISSING
    return FileRecord(
        path=recorded_path(path, root),
        kind=kind,
        digest=digest,
        size=size,
        name=name,
        flags=tuple(flags),
    )


def holds(path: Path, file: FileRecord) -> bool:
    """Tell whether what stands at a path has the content that a record says.

    Raises:
        StorageError: Something is there but cannot be read.
    """
    seen = observe(path, root=path.parent)
    return file.digest is not None and (seen.kind, seen.digest) == (file.kind, file.digest)


def recorded_path(path: Path, root: Path) -> str:
    """Return a path as the record names it: relative to the root below it, else absolute.

    Only the text of the paths counts: a link below the root is recorded by its own name.
    """
    # abspath, not resolve: links must stay
    absolute, base = os.path.abspath(path), os.path.abspath(root)  # noqa: PTH100
    if absolute == base:
        return "."
    below = base if base.endswith("/") else f"{base}/"
    return absolute.removeprefix(below)


def stamps(root: Path, files: Iterable[FileRecord]) -> dict[str, tuple[int, int, int]]:
    """Return what tells whether files were changed or replaced; missing ones are left out.

    Returns:
        Path -> inode, size in bytes, time of modification in nanoseconds.
    """
    found = {}
    for file in files:
        try:
            stat = (root / file.path).stat()
        except OSError:
            continue
        found[file.path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return found


def _known(
    path: Path, stat: os.stat_result, cache: StatCache | None
) -> tuple[Digest, os.stat_result]:
    """Return a file's digest from the cache, or read it; with the stat it belongs to."""
    digest = None if cache is None else cache.get(stat)
    return _steady(path, cache) if digest is None else (digest, stat)


def _steady(path: Path, cache: StatCache | None) -> tuple[Digest, os.stat_result]:
    for _ in range(_TRIES):
        began = now_ns()
        # not blocking: the path may have become a pipe since it was looked at
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - it is open already
            before = os.fstat(fd)
            if not modes.S_ISREG(before.st_mode):
                raise StorageError(f"cannot hash {path}: expected a regular file")
            digest = _digest(file, before.st_size)
            read, after = file.tell(), os.fstat(fd)
        if read == before.st_size and _stamp(before) == _stamp(after):
            if cache is not None:
                # the later one: links made meanwhile change nothing but the change time
                cache.put(after, digest, began)
            return digest, after
    raise _UnsteadyError(
        f"cannot hash {path}: it was written to each of the {_TRIES} times it was read",
        hint="Make sure that no background process still writes to it.",
    )


def _digest(file: io.FileIO, size: int) -> Digest:
    """Hash a file from its beginning to its end."""
    mapped = hash_apart(file.fileno()) if size >= _LARGE else None
    if mapped is not None:
        file.seek(size)
        return Digest(mapped)
    return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def _stamp(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


def _hash_directory(top: Path, cache: StatCache | None) -> tuple[Digest, int]:
    """Return the Merkle digest of a directory and the sum of its files' sizes.

    Raises:
        OSError: Part of it cannot be read.
        _UnsteadyError: Part of it vanished or changed while it was read.
    """
    digests: dict[Path, Digest] = {}
    total = 0
    try:
        for directory, entries in reversed(list(_listings(top))):
            rows: list[Json] = []
            for entry in entries:
                path = directory / entry.name
                if entry.is_symlink():
                    # os.readlink, not Path.readlink: the text as it stands
                    rows.append([entry.name, "link", os.readlink(path)])  # noqa: PTH115
                elif entry.is_dir():
                    rows.append([entry.name, "directory", str(digests.pop(path))])
                elif entry.is_file():
                    digest, stat = _known(path, path.lstat(), cache)
                    total += stat.st_size
                    rows.append([entry.name, "file", str(digest)])
                else:
                    rows.append([entry.name, "special", None])
            digests[directory] = digest_of(DIRECTORY_TAG, rows)
    except OSError as exc:
        if exc.errno in _GONE:
            raise _UnsteadyError(f"cannot hash {top}: {exc.filename} vanished meanwhile") from exc
        raise
    return digests[top], total


def _listings(top: Path) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Yield every directory below ``top`` with its sorted entries, parents before children."""
    left = [top]
    while left:
        directory = left.pop()
        with os.scandir(directory) as scan:
            entries = sorted(
                (entry for entry in scan if entry.name != TIMESTAMP),
                key=lambda entry: os.fsencode(entry.name),
            )
        yield directory, entries
        left += [directory / e.name for e in entries if e.is_dir(follow_symlinks=False)]


def _unreadable(path: Path, exc: OSError) -> StorageError:
    where = os.fsdecode(exc.filename) if exc.filename else str(path)
    return StorageError(
        f"cannot read {where}: {exc.strerror}",
        hint="Mend its permissions." if isinstance(exc, PermissionError) else None,
    )
