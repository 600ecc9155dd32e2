"""ROOT files written by uproot whose bytes depend on nothing but what is written."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snakemake_repro.errors import StorageError, UsageError

_EPOCH = dt.datetime(1995, 1, 1)  # noqa: DTZ001 - ROOT's dates have no time zone
"""The first date that a ROOT file can hold."""
_NAME = "data.root"
"""What the file is called while it is written: uproot weaves the name into it."""
_clock = threading.RLock()


@contextmanager
def reproducible_root(path: str | Path, **options: Any) -> Iterator[Any]:
    """Give a new ROOT file, as ``uproot.recreate`` does, that takes its place in the end.

    Equal content gives equal bytes, whatever the file is called. An exception within leaves what
    was there before. Other threads that write such files wait.

    ::

        with reproducible_root(snakemake.output[0]) as file:
            tree = file.mktree("showers", {"energy": "f8"})
            tree.extend({"energy": energy})

    Args:
        path: Where the file goes, in a directory that is there.
        options: What ``uproot.recreate`` takes; ``uuid_function`` is not among it.

    Raises:
        UsageError: uproot is not installed.
        StorageError: The file cannot be written.
    """
    try:
        import uproot
    except ImportError as exc:
        raise UsageError(
            f"cannot write {path}: expected uproot to be installed: {exc}",
            hint="pip install 'snakemake-executor-plugin-ray[root]'",
        ) from exc
    place = Path(path)
    try:
        # made here, so that what has the place in the end has the permissions of any new file
        scratch = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as exc:
        raise StorageError(f"cannot write {path}: {exc.strerror}") from exc
    try:
        with (
            _no_time(),
            uproot.recreate(
                scratch / _NAME, uuid_function=lambda: uuid.UUID(int=0), **options
            ) as file,
        ):
            yield file
        try:
            (scratch / _NAME).replace(place)
        except OSError as exc:
            raise StorageError(f"cannot write {path}: {exc.strerror}") from exc
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _no_time() -> Iterator[None]:
    """Let uproot write one date: it stamps every object with the time of writing."""
    import uproot._util

    with _clock:
        encode = uproot._util.datetime_to_code  # noqa: SLF001 - there is no public way
        uproot._util.datetime_to_code = lambda _now: encode(_EPOCH)  # noqa: SLF001
        try:
            yield
        finally:
            uproot._util.datetime_to_code = encode  # noqa: SLF001
