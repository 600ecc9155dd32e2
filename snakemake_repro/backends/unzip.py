"""Archives from anywhere, unpacked below one directory and within its space."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from snakemake_repro.errors import RecordError, StorageError

MAX_FILES = 1_000_000
_CHUNK = 1 << 20
_SHARE = 0.9
"""Of the free space that an archive may take."""


def unzip(archive: Path, target: Path) -> None:
    """Unpack a zip archive; of what is in it, regular files only.

    Args:
        archive: The archive.
        target: A directory that is there and empty.

    Raises:
        RecordError: It is no such archive, or holds anything that would lie elsewhere.
        StorageError: There is no space, or it cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [one for one in opened.infolist() if not one.is_dir()]
            _check(archive, members, target)
            for member in members:
                path = target / member.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                # of a member no more is read than what it says to hold
                with opened.open(member) as source, path.open("xb") as file:
                    shutil.copyfileobj(source, file, _CHUNK)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as exc:
        raise RecordError(f"{archive} cannot be unpacked: {exc}") from exc
    except OSError as exc:
        raise StorageError(f"cannot unpack {archive}: {exc.strerror}") from exc


def holds(archive: Path, name: str) -> bool:
    """Tell whether a file is a zip archive with a file of that name."""
    if not zipfile.is_zipfile(archive):
        return False
    try:
        with zipfile.ZipFile(archive) as opened:
            return name in opened.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return False


def _check(archive: Path, members: list[zipfile.ZipInfo], target: Path) -> None:
    if len(members) > MAX_FILES:
        raise RecordError(f"{archive} holds {len(members):,} files, expected at most {MAX_FILES:,}")
    for member in members:
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise RecordError(f"{archive} holds {name!r}, which is no regular file")
        if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
            raise RecordError(f"{archive} holds {name!r}, which would lie outside of it")
    needed, free = sum(one.file_size for one in members), shutil.disk_usage(target).free
    if needed > free * _SHARE:
        raise StorageError(
            f"cannot unpack {archive}: it holds {needed:,} bytes, and {free:,} are free in "
            f"{target}",
            hint="TMPDIR names another place for what is temporary.",
        )
