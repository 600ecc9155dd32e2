"""Single files out of zip and tar archives; where they go is never taken from the archive."""

from __future__ import annotations

import contextlib
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from snakemake_repro.backends.wholefiles import PUBLIC, replacing
from snakemake_repro.wrappers.problems import WrapperError, listed, suggest

_CHUNK = 1 << 20

Open = Callable[[str], IO[bytes] | None]
"""Give a regular file by its name in the archive; ``None`` where it is something else."""


def extract(archive: Path, names: Mapping[str, str]) -> None:
    """Write members of an archive to files.

    Args:
        archive: A zip archive, such as a wheel, or a tar archive, compressed or not.
        names: Name of the member for each file.

    Raises:
        WrapperError: It is no such archive or damaged, or does not have a regular file of a name.
        OSError: A file cannot be written.
    """
    for name in names.values():
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise WrapperError(f"expected the path of a member within the archive, got {name!r}")
    with _opened(archive) as (known, opened):
        for place, name in names.items():
            if name not in known:
                raise WrapperError(
                    f"expected a member {name!r} in the archive, got {listed(known)}",
                    hint=suggest(name, known),
                )
            content = opened(name)
            if content is None:
                raise WrapperError(
                    f"expected a regular file as member {name!r}, got a link or a directory"
                )
            with content, replacing(Path(place), PUBLIC) as target:
                shutil.copyfileobj(content, target, _CHUNK)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Open]]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zipped:
                yield zipped.namelist(), lambda name: _of_zip(zipped, name)
        else:
            with tarfile.open(path) as taped:
                yield taped.getnames(), lambda name: _of_tar(taped, name)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        NotImplementedError,
        RuntimeError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
    ) as exc:
        raise WrapperError(
            f"expected a complete zip or tar archive, got: {exc}",
            hint="without member= the file is taken as it is",
        ) from exc


def _of_zip(archive: zipfile.ZipFile, name: str) -> IO[bytes] | None:
    member = archive.getinfo(name)
    kind = stat.S_IFMT(member.external_attr >> 16)
    return None if member.is_dir() or kind not in (0, stat.S_IFREG) else archive.open(member)


def _of_tar(archive: tarfile.TarFile, name: str) -> IO[bytes] | None:
    member = archive.getmember(name)
    return archive.extractfile(member) if member.isreg() else None
