"""The stat cache: what a file's digest was when its inode looked exactly as it does now.

A digest is believed as long as device, inode, size, modification time and change time are those
of the moment it was computed. Time stamps have a granularity, so a file that is written again
right after it was hashed can look unchanged; as in git's index (``racy-git``), a digest of a file
that was modified too shortly before it was hashed is not kept.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self, TypeAlias

from snakemake_repro.backends.wholefiles import replacing
from snakemake_repro.errors import RecordError, StorageError
from snakemake_repro.records import Digest, Json

MAX_ENTRIES = 200_000
"""Entries kept on disk, newest first: about 25 MB."""

MAX_DIRECTORY_FILES = 1_000
"""Files of one directory that ``select`` looks up before it leaves the directory out."""

_FORMAT = {"format": "snakemake-repro stat cache", "version": 1}
_LOCAL_MARGIN_NS = 20_000_000
_REMOTE_MARGIN_NS = 3_000_000_000
_COARSE = frozenset(
    (
        "9p", "afs", "beegfs", "ceph", "cifs", "exfat", "fuse.glusterfs", "fuse.sshfs", "glusterfs",
        "gpfs", "lustre", "msdos", "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "vfat",
    )
)  # fmt: skip
_FIELDS = 6

Key: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, size, modification time and change time in nanoseconds."""


class StatCache:
    """Digests by the stat of the file they belong to.

    Threads may share one; it takes part in nothing that must not be lost.
    """

    def __init__(self) -> None:
        self._entries: dict[Key, Digest] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, stat: os.stat_result) -> Digest | None:
        """Return the digest of a file that looks like this, or ``None``."""
        return self._entries.get(_key(stat))

    def put(self, stat: os.stat_result, digest: Digest, hashed_at_ns: int) -> None:
        """Remember a digest, unless the file may have changed again without a trace.

        Args:
            stat: Of the file, taken before it was read and unchanged after.
            digest: Of its content.
            hashed_at_ns: System clock when reading began, in nanoseconds since the epoch.
        """
        if max(stat.st_mtime_ns, stat.st_ctime_ns) <= hashed_at_ns - _margin(stat.st_dev):
            self._set(_key(stat), digest)

    def refresh(self, path: Path, digest: Digest, size: int | None) -> None:
        """Remember the digest of a file that was just touched and is known not to have changed.

        Snakemake sets the modification time of a job's outputs when it accepts them, which would
        make every one of them unknown. Whoever calls this vouches for the content; only the size
        is compared.
        """
        try:
            stat = path.stat()
        except OSError:
            return
        if size is None or stat.st_size == size:
            self._set(_key(stat), digest)

    def select(self, paths: Iterable[Path]) -> Json:
        """Return the entries of these files, and of the files in these directories, as JSON."""
        found: dict[Key, Digest] = {}
        for path in paths:
            for stat in _stats(path):
                key = _key(stat)
                digest = self._entries.get(key)
                if digest is not None:
                    found[key] = digest
        return [_row(key, digest) for key, digest in found.items()]

    def merge(self, rows: Json) -> None:
        """Add entries that another process found.

        Raises:
            RecordError: They are not what ``to_json`` returns.
        """
        for row in rows or ():
            key, digest = _entry(row)
            self._set(key, digest)

    def to_json(self) -> Json:
        """Return all entries as JSON, for another process."""
        return [_row(key, digest) for key, digest in list(self._entries.items())]

    @classmethod
    def from_json(cls, rows: Json) -> Self:
        """Build the cache from entries of another process.

        Raises:
            RecordError: They are not what ``to_json`` returns.
        """
        cache = cls()
        cache.merge(rows)
        return cache

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the cache from a file; one that is missing or damaged counts as empty.

        Nothing is lost with it but the time to hash files again.
        """
        cache = cls()
        try:
            with path.open("rb") as file:
                if json.loads(file.readline()) != _FORMAT:
                    return cls()
                for line in file:
                    key, digest = _entry(json.loads(line))
                    cache._entries[key] = digest
        except (OSError, ValueError, RecordError):
            return cls()
        return cache

    def save(self, path: Path) -> None:
        """Write the newest entries to a file, together with what others wrote there meanwhile.

        Raises:
            StorageError: The file cannot be written.
        """
        merged = type(self).load(path)
        for key, digest in list(self._entries.items()):
            merged._set(key, digest)  # noqa: SLF001 - our own
        rows = list(merged._entries.items())[-MAX_ENTRIES:]  # noqa: SLF001
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(_line(_FORMAT))
                file.writelines(_line(_row(key, digest)) for key, digest in rows)
        except OSError as exc:
            raise StorageError(
                f"cannot write the stat cache {path}: {exc.strerror}",
                hint="Free some space or mend the permissions; nothing but time is lost without "
                "it.",
            ) from exc

    def _set(self, key: Key, digest: Digest) -> None:
        # taken out first, so that the order stays oldest to newest
        self._entries.pop(key, None)
        self._entries[key] = digest


def now_ns() -> int:
    """Return the system clock as ``put`` wants it."""
    return time.time_ns()


def _key(stat: os.stat_result) -> Key:
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _row(key: Key, digest: Digest) -> list[Json]:
    return [*key, digest.value]


def _entry(row: Json) -> tuple[Key, Digest]:
    if not isinstance(row, list | tuple) or len(row) != _FIELDS:
        raise RecordError(f"expected a stat-cache entry of {_FIELDS} fields, got {row!r:.80}")
    device, inode, size, modified, changed, value = row
    if any(type(number) is not int for number in (device, inode, size, modified, changed)):
        raise RecordError(f"expected a stat-cache entry of numbers, got {row!r:.80}")
    return (device, inode, size, modified, changed), Digest.parse(f"sha256:{value}")


def _line(data: Json) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n"


def _stats(path: Path) -> list[os.stat_result]:
    """Return the stat of a file, or those of the files below a directory if they are few."""
    try:
        if not path.is_dir():
            return [path.stat()]
        found = []
        for base, _, names in os.walk(path):
            for name in names:
                found.append(Path(base, name).lstat())
                if len(found) > MAX_DIRECTORY_FILES:
                    return []
    except OSError:
        return []
    return found


@functools.cache
def _margin(device: int) -> int:
    """Return how old a file must be, in nanoseconds, for a change to show in its time stamps.

    Network file systems stamp files with another machine's clock, and FAT counts in steps of two
    seconds; both get a wide margin.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _LOCAL_MARGIN_NS
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) > 2 and fields[2] == number:  # noqa: PLR2004 - see proc(5)
            return _REMOTE_MARGIN_NS if after.split()[0] in _COARSE else _LOCAL_MARGIN_NS
    # no such mount: btrfs and overlays number their parts apart from their mounts
    return _LOCAL_MARGIN_NS
