"""Files as a stream of chunks, and back: how they travel where no file system is shared.

A stream is a tar archive (POSIX.1-2001 pax), written and read piece by piece, so that a file may
be larger than memory. What arrives is data: it is never written outside the directory it is for.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from snakemake_repro.errors import StorageError

CHUNK_BYTES = 16 * 1024 * 1024
"""A few of these are in memory at a time."""

_PIECE = 1024 * 1024


def pack(files: Mapping[str, Path], *, chunk: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the chunks of an archive; links are followed at the top and kept as links below.

    Args:
        files: Name in the archive -> file or directory.
        chunk: About how many bytes to yield at a time.

    Raises:
        StorageError: Something cannot be read, or changes meanwhile.
    """
    buffer = bytearray()
    for name, path in files.items():
        try:
            for piece in _entries(name, path):
                buffer += piece
                if len(buffer) >= chunk:
                    yield bytes(buffer)
                    buffer.clear()
        except OSError as exc:
            raise StorageError(
                f"cannot read {exc.filename or path} to send it: {exc.strerror or exc}",
                hint="It must be readable and stay as it is until its job has it.",
            ) from exc
    yield bytes(buffer) + bytes(2 * tarfile.BLOCKSIZE)


def unpack(chunks: Iterable[bytes], directory: Path) -> None:
    """Write what an archive holds below a directory, over what is there.

    Raises:
        StorageError: The archive is cut off, wants to be elsewhere, or cannot be written.
    """
    try:
        with tarfile.open(fileobj=_Stream(chunks), mode="r|", errors="surrogateescape") as archive:
            archive.extractall(directory, filter="data")
    except tarfile.TarError as exc:
        raise StorageError(
            f"what was sent cannot be written below {directory}: {exc}",
            hint="Links that lead out of an output directory cannot travel without a shared file "
            "system.",
        ) from exc
    except OSError as exc:
        raise StorageError(
            f"cannot write {exc.filename or directory}: {exc.strerror or exc}",
            hint="Free some space or mend the permissions.",
        ) from exc


def read(archive: Path, *, chunk: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the chunks of an archive that was written before.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        with archive.open("rb") as file:
            while piece := file.read(chunk):
                yield piece
    except OSError as exc:
        raise StorageError(f"cannot read {archive}: {exc.strerror or exc}") from exc


def _entries(name: str, path: Path) -> Iterator[bytes]:
    """Yield the blocks of a file, or of a directory with all that is in it."""
    yield from _entry(name, path, path.stat())
    for parent, directories, names in os.walk(path):
        directories.sort()
        for child in sorted((*directories, *names)):
            below = Path(parent, child)
            inner = f"{name}/{below.relative_to(path).as_posix()}"
            yield from _entry(inner, below, below.lstat())


def _entry(name: str, path: Path, state: os.stat_result) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = stat.S_IMODE(state.st_mode), state.st_mtime
    if stat.S_ISDIR(state.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(state.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
    elif stat.S_ISREG(state.st_mode):
        info.size = state.st_size
    else:
        raise OSError(None, "neither a file nor a directory", str(path))
    yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    if info.isreg():
        yield from _content(path, info.size)


def _content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as file:
        while left:
            piece = file.read(min(_PIECE, left))
            if not piece:
                raise OSError(None, "it became shorter meanwhile", str(path))
            left -= len(piece)
            yield piece
    if rest := size % tarfile.BLOCKSIZE:
        yield bytes(tarfile.BLOCKSIZE - rest)


class _Stream(io.RawIOBase):
    """Chunks as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        """Return exactly so many bytes, fewer only at the end."""
        parts, wanted = [], size
        while wanted > 0:
            if not self._left:
                self._left = next(self._chunks, b"")
                if not self._left:
                    break
            parts.append(self._left[:wanted])
            self._left = self._left[wanted:]
            wanted -= len(parts[-1])
        return b"".join(parts)
