"""Layers of images: trees of files as tars, the same whenever and wherever they are made."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Container, Iterator
from pathlib import Path

from snakemake_repro.backends.files import hash_file
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.image_archives import Blob


def write_layer(
    tree: Path, out: Path, *, place: str = "", hidden: Container[str] = frozenset()
) -> Blob:
    """Write a tree as a layer: sorted, of root, without times and hard links.

    Args:
        tree: A directory.
        out: The tar to write.
        place: Where its content is in the image.
        hidden: Directories right below the tree whose content stays away.

    Raises:
        StorageError: It holds what is neither file nor directory nor link, or cannot be read.
    """
    try:
        with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as archive:
            parts = [part for part in place.split("/") if part]
            for depth in range(1, len(parts)):
                archive.addfile(_directory("/".join(parts[:depth])))
            for path in _below(tree, hidden):
                inner = "/".join([*parts, *path.relative_to(tree).parts])
                if inner:
                    add_entry(archive, path, inner)
    except OSError as exc:
        raise StorageError(
            f"{tree} cannot be made a layer of an image: {exc.strerror or exc}",
            hint="Free some space where the image is written, or mend the permissions.",
        ) from exc
    return blob_of(out)


def blob_of(path: Path) -> Blob:
    """Return what identifies a file.

    Raises:
        StorageError: It cannot be read.
    """
    digest, size = hash_file(path)
    return Blob(digest=digest, size=size)


def neutral(name: str, size: int = 0, mode: int = 0o644) -> tarfile.TarInfo:
    """Return the header of a file of root, of no time."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    return info


def _directory(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    info = neutral(name, mode=mode)
    info.type = tarfile.DIRTYPE
    return info


def _below(tree: Path, hidden: Container[str]) -> Iterator[Path]:
    """Yield a tree's root and all in it, sorted, what is above before what is below."""
    yield tree
    for entry in sorted(tree.iterdir()):
        yield entry
        if entry.is_symlink() or not entry.is_dir() or entry.name in hidden:
            continue
        for place, folders, files in os.walk(entry, onerror=_fail):
            folders.sort()
            yield from (Path(place, name) for name in sorted([*files, *folders]))


def _fail(exc: OSError) -> None:
    raise exc


def add_entry(archive: tarfile.TarFile, path: Path, name: str, *, plain: bool = False) -> None:
    """Add a file, directory or link to a tar, of root and without a time.

    Args:
        archive: The tar.
        path: What to add.
        name: In the tar.
        plain: Of the mode only keep whether the owner may execute it.

    Raises:
        OSError: It cannot be read.
        StorageError: It is something else.
    """
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if plain:
        mode = 0o755 if mode & 0o100 else 0o644
    if stat.S_ISDIR(status.st_mode):
        archive.addfile(_directory(name, mode))
    elif stat.S_ISLNK(status.st_mode):
        info = neutral(name, mode=0o777)
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)  # noqa: PTH115 - the text
        archive.addfile(info)
    elif stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            archive.addfile(neutral(name, status.st_size, mode), file)
    else:
        raise StorageError(
            f"{path} cannot be in an image: it is neither a file nor a directory nor a link",
            hint="Remove it.",
        )
