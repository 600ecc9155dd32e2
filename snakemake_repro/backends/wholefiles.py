"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from snakemake_repro.errors import StorageError

PUBLIC = 0o644


@contextlib.contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Give a file that takes a place when the context ends, unless it ends with an exception.

    Args:
        path: The place, in a directory that is there.
        mode: Permissions of the file; ``None`` for the owner's alone.

    Raises:
        OSError: It cannot be written; what was there before is still there.
    """
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    made = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
        if mode is not None:
            made.chmod(mode)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def write_whole(path: Path, text: str, what: str) -> None:
    """Write a text file, and the directory that it is to be in.

    Args:
        path: Where to.
        text: Its content.
        what: What it is, for the message: ``the lock``.

    Raises:
        StorageError: It cannot be written; what was there before is still there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, PUBLIC) as file:
            file.write(text.encode())
    except OSError as exc:
        raise StorageError(
            f"cannot write {what} {path}: {exc.strerror}",
            hint="Free some space or mend the permissions.",
        ) from exc
