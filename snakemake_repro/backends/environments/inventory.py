"""What lies in the store of a node: environments, and what builds that were cut off left."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from snakemake_repro.backends.environments.flock import unused
from snakemake_repro.errors import RecordError, StorageError
from snakemake_repro.records import EnvironmentRecord

DONE, LOCK, USE = ".ok", ".lock", ".use"
"""Files beside an environment: it is complete; one builds or removes it; somebody uses it."""

_KEY = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One environment in a store.

    Attributes:
        key: The first characters of its digest.
        record: What it consists of; ``None`` for what a build that was cut off left.
        size: Bytes, each hard link counted.
        used: When a process last began to use it, UTC; ``None`` where that is not known.
        busy: A process uses it now.
    """

    key: str
    prefix: Path
    record: EnvironmentRecord | None
    size: int
    used: str | None
    busy: bool


def stored(root: Path) -> list[Stored]:
    """Return what is in a store, the most recently used first.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        found = [_stored(root / key) for key in sorted(_keys(root))]
    except OSError as exc:
        raise _unreadable(root, exc) from exc
    return sorted(found, key=lambda one: one.used or "", reverse=True)


def remove(one: Stored) -> bool:
    """Remove an environment unless somebody uses or builds it; tell whether it is gone.

    Its mark goes first: what is left of a removal that is cut off passes for unfinished.

    Raises:
        StorageError: It cannot be removed.
    """
    beside = one.prefix.with_suffix
    try:
        with unused(beside(LOCK)) as idle:
            if not idle:
                return False
            with unused(beside(USE)) as free:
                if not free:
                    return False
                beside(DONE).unlink(missing_ok=True)
                if one.prefix.exists():
                    shutil.rmtree(one.prefix)
    except OSError as exc:
        raise StorageError(
            f"cannot remove {one.prefix}: {exc.strerror or exc}", hint="Mend the permissions."
        ) from exc
    return True


def _keys(root: Path) -> set[str]:
    """Return the keys of all that is there; the files of locks stay behind when it is removed."""
    if not root.is_dir():
        return set()
    names = {path.stem for path in root.iterdir() if path.is_dir() or path.suffix == DONE}
    return {name for name in names if _KEY.fullmatch(name)}


def _stored(prefix: Path) -> Stored:
    use = prefix.with_suffix(USE)
    return Stored(
        key=prefix.name,
        prefix=prefix,
        record=_record(prefix.with_suffix(DONE)),
        size=sum(_sizes(prefix)),
        used=_moment(use.stat().st_mtime) if use.exists() else None,
        busy=_held(prefix.with_suffix(LOCK)) or _held(use),
    )


def _held(path: Path) -> bool:
    if not path.exists():
        return False
    with unused(path) as free:
        return not free


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="microseconds")


def _record(path: Path) -> EnvironmentRecord | None:
    try:
        return EnvironmentRecord.from_dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, RecordError) as exc:
        raise StorageError(
            f"{path} cannot be read: {exc}",
            hint="Remove it; the environment is then built anew when it is needed.",
        ) from exc


def _sizes(prefix: Path) -> Iterator[int]:
    for directory, _, files in os.walk(prefix):
        for name in files:
            yield Path(directory, name).lstat().st_size


def _unreadable(root: Path, exc: OSError) -> StorageError:
    return StorageError(
        f"the store {root} cannot be read: {exc.strerror or exc}", hint="Mend the permissions."
    )
