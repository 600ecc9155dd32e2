"""The directory ``/etc`` of hermetic jobs: what programs need of it, and nothing of the machine.

It is put together once per node, for each mount of its own would cost every job time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from snakemake_repro.backends.environments.flock import make_once
from snakemake_repro.errors import IsolationError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.sandbox import Mount
from snakemake_repro.records import Json

USER_ID = 1000
"""Of the job as it sees itself, whoever runs it; its files belong to who does."""

HOME = "/run/home"
_USER = "job"
_TEXTS = {
    "group": f"{_USER}:x:{USER_ID}:\n",
    "hosts": f"127.0.0.1 localhost {_USER}\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "passwd": f"{_USER}:x:{USER_ID}:{USER_ID}:{_USER}:{HOME}:/bin/sh\n",
    "resolv.conf": "",
}
_NETWORK = ("hosts", "nsswitch.conf", "resolv.conf")
_PRIVATE = "private"
"""Where distributions keep keys."""


def settings_directory(store: Path, sources: Sequence[Path], version: Json) -> Path:
    """Return a directory to be shown as ``/etc``, making it first if need be.

    Args:
        store: The node's own, below which it stands.
        sources: Files and directories to be copied into it.
        version: What changes when one of them does.

    Raises:
        IsolationError: It cannot be made.
    """
    content = [_TEXTS, list(map(str, sources)), version]
    place = store.absolute() / f"etc-{digest_of('Settings/1', content).value[:16]}"
    try:
        make_once(place, lambda building: _fill(building, sources))
    except OSError as exc:
        raise IsolationError(
            f"cannot make {place}: {exc.strerror or exc}",
            hint="Free some space or mend the permissions, or name another place with "
            "--ray-environment-store.",
        ) from exc
    return place


def name_service() -> tuple[Mount, ...]:
    """Return what a job needs to find other hosts by name, as this node has it."""
    paths = [f"/etc/{name}" for name in _NETWORK]
    return tuple(Mount(source=p, target=p) for p in paths if Path(p).exists())


def stamps(sources: Sequence[Path]) -> Json:
    """Return what tells whether files have changed."""
    return [[path.stat().st_mtime_ns, path.stat().st_size] for path in sources]


def _fill(building: Path, sources: Sequence[Path]) -> None:
    for source in sources:
        _copy(source, building / source.name)
    for name, text in _TEXTS.items():
        (building / name).unlink(missing_ok=True)
        (building / name).write_text(text)


def _copy(source: Path, target: Path) -> None:
    """Copy a file, a link or a directory; what this user may not read is left out."""
    with contextlib.suppress(PermissionError):
        if source.is_symlink():
            target.symlink_to(os.readlink(source))  # noqa: PTH115 - the text as it stands
        elif source.is_dir():
            entries = sorted(source.iterdir())
            target.mkdir()
            for entry in entries:
                if entry.name != _PRIVATE:
                    _copy(entry, target / entry.name)
        elif source.is_file():
            shutil.copy2(source, target)
