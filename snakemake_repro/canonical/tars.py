"""Tar archives whose members have no time, no owner, and the order of their names."""

from __future__ import annotations

import copy
import gzip
import shutil
import tarfile
import tempfile
import zlib
from typing import IO

from snakemake_repro.errors import RecordError

_KEPT = ("SCHILY.xattr.", "LIBARCHIVE.xattr.")
"""Extended attributes are content; the other extended headers are times, or are written anew."""
_EFFORT = 9
_CHUNK = 1 << 20


def rewrite(source: IO[bytes], target: IO[bytes] | gzip.GzipFile) -> None:
    """Copy a tar archive, its members in the order of their names.

    Of hard links to one file, the one whose name comes first holds the content.

    Raises:
        RecordError: It is damaged or none, or holds a name twice.
    """
    try:
        with tarfile.open(fileobj=source, mode="r:") as archive:
            _copy(archive, target)
    except tarfile.TarError as exc:
        raise RecordError(f"expected a complete tar archive, got a damaged one: {exc}") from exc


def rewrite_gzipped(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a gzipped tar archive likewise, compressed anew.

    Raises:
        RecordError: It is damaged or none, or holds a name twice.
    """
    # members are read in another order than they come; going back would unpack all from the start
    with tempfile.TemporaryFile() as plain:
        try:
            with gzip.GzipFile(fileobj=source) as packed:
                shutil.copyfileobj(packed, plain, _CHUNK)
        except (gzip.BadGzipFile, zlib.error, EOFError) as exc:
            raise RecordError(f"expected a complete gzip file, got a damaged one: {exc}") from exc
        plain.seek(0)
        with gzip.GzipFile(
            filename="", mode="wb", compresslevel=_EFFORT, fileobj=target, mtime=0
        ) as made:
            rewrite(plain, made)


def _copy(archive: tarfile.TarFile, target: IO[bytes] | gzip.GzipFile) -> None:
    members = {member.name: member for member in archive}
    _check_end(archive)
    if len(members) != len(archive.getmembers()):
        raise RecordError(
            "expected every name once, got some twice: which of them counts is not certain",
            hint="Unpack the archive, and pack it anew.",
        )
    holders: dict[str, str] = {}
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name in sorted(members):
            member = _bare(members[name])
            if not (member.islnk() or member.isreg()):
                made.addfile(member)
                continue
            held = _held_by(member, members)
            first = holders.setdefault(held.name, name)
            if first != name:
                member.type, member.linkname, member.size = tarfile.LNKTYPE, first, 0
                made.addfile(member)
                continue
            member.type, member.linkname, member.size = tarfile.REGTYPE, "", held.size
            made.addfile(member, archive.extractfile(held))


def _check_end(archive: tarfile.TarFile) -> None:
    """Check that the end of the archive is its end: tarfile stops at anything it cannot read."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise RecordError("expected a complete tar archive, got the beginning of one")


def _held_by(member: tarfile.TarInfo, members: dict[str, tarfile.TarInfo]) -> tarfile.TarInfo:
    """Return the member that holds what another one links to; itself, if it is no link."""
    held, seen = members[member.name], {member.name}
    while held.islnk():
        if held.linkname not in members or held.linkname in seen:
            raise RecordError(
                f"{member.name!r} is a link to {held.linkname!r}, which is not in the archive"
            )
        seen.add(held.linkname)
        held = members[held.linkname]
    if not held.isreg():
        raise RecordError(f"{member.name!r} is a link to {held.name!r}, which is no regular file")
    return held


def _bare(member: tarfile.TarInfo) -> tarfile.TarInfo:
    bare = copy.copy(member)
    bare.mtime = bare.uid = bare.gid = 0
    bare.uname = bare.gname = ""
    bare.pax_headers = {
        name: value for name, value in member.pax_headers.items() if name.startswith(_KEPT)
    }
    return bare
