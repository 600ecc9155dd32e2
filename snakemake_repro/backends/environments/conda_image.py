"""A conda environment as the content of a container image: for one place, the same bytes anywhere.

rattler writes the place into the files that name it. What else tells where and when the environment
was made is taken out: caches and addresses in ``conda-meta``, the interpreter in the scripts of
pip's packages, the times in compiled Python, modes that depend on the umask.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.backends.environments import conda
from snakemake_repro.backends.environments.conda_activation import Activation, activation
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.conda_lock import CONDA, LockedFile
from snakemake_repro.logic.executables import interpreter_of

PLACE = Path("/opt/env")
"""Where the environment is in the image."""

_LOCAL = ("extracted_package_dir", "package_tarball_full_path", "link")
_ADDRESS = ("url", "channel")
_LONG_SCRIPT = re.compile(
    rb"""#!/bin/sh\n'''exec' ["']?(?P<python>/[^"'\n]+?)["']? "\$0" "\$@"\n' '''\n"""
)
"""How a script begins whose interpreter has too long a path for the kernel."""
_SCRIPT = re.compile(rb"#!(?P<python>/[^\n]+)\n")
_CACHE = "__pycache__"
_HEADER = 16
_FIRST_MAGIC, _LAST_MAGIC = 3390, 19_999
"""Of compiled Python since 3.7, whose header says how to tell whether it is stale."""
_UNCHECKED = (1).to_bytes(4, "little")
_HEAD = 4096


def fill(prefix: Path, name: str, files: Sequence[LockedFile], *, cache: Path, lock: int) -> None:
    """Install an environment that is to be used at ``PLACE``.

    Args:
        prefix: Where to make it.
        name: Of the environment, for messages.
        files: What to install; link scripts do not run.
        cache: Directory of unpacked packages, on the same file system.
        lock: Descriptor that locks the prefix; children hold it, too.

    Raises:
        EnvironmentSpecError: It holds what can only be installed on another platform.
        EnvironmentBuildError: It cannot be made from the lock.
    """
    foreign = {file.platform for file in files} - {conda.this_platform()}
    if foreign and any(file.manager != CONDA for file in files):
        raise EnvironmentSpecError(
            f"the environment {name} has packages for pip, which can be installed for "
            f"{', '.join(foreign)} only there: this is {conda.this_platform()}",
            hint="Export it on a machine of that platform, or take these packages from a channel.",
        )
    conda.install(prefix, name, files, cache=cache, lock=lock, target=PLACE)
    tidy(prefix, {file.file_name: file.channel for file in files if file.manager == CONDA})


def tidy(prefix: Path, channels: Mapping[str, str | None]) -> None:
    """Take out of an environment what tells where and when it was made.

    Args:
        prefix: Of the environment, which is to be used at ``PLACE``.
        channels: Where each package is from, by the name of its file.
    """
    packaged: set[str] = set()
    for path in _below(prefix):  # first: what the cache has may be for reading only
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        packaged.update(_tidy_metadata(path, channels))
    for record in sorted(prefix.glob("lib/python*/*-packages/*.dist-info/RECORD")):
        if record.relative_to(prefix).as_posix() not in packaged:
            _move_scripts(record, prefix)
    _tidy_compiled(prefix, packaged)


def changes(prefix: Path, name: str) -> Activation:
    """Return what the activation of the environment changes at ``PLACE``.

    It may write into the environment.

    Raises:
        EnvironmentBuildError: Its scripts fail.
    """
    return activation(prefix, name).moved(prefix, PLACE)


def wanting(prefix: Path) -> tuple[str, str] | None:
    """Return a program of the environment whose interpreter or loader is not in it, and that.

    Nothing but programs that are linked statically runs without.
    """
    for path in _below(prefix):
        hidden = path.name.startswith(".")  # link scripts
        if hidden or path.is_symlink() or not path.is_file() or not path.stat().st_mode & 0o100:
            continue
        with path.open("rb") as file:
            needed = interpreter_of(file.read(_HEAD))
        if needed is not None and not Path(needed).is_relative_to(PLACE):
            return path.relative_to(prefix).as_posix(), needed
    return None


def _below(directory: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(directory):
        folders.sort()
        yield Path(place)
        yield from (Path(place, name) for name in sorted([*files, *folders]))


def _tidy_metadata(path: Path, channels: Mapping[str, str | None]) -> list[str]:
    """Take out of a package's metadata what is about this machine; return the package's files."""
    data: dict[str, Any] = json.loads(path.read_bytes())
    for name in (*_LOCAL, *_ADDRESS):
        data.pop(name, None)
    if channel := channels.get(data["fn"]):
        # as in the lock: variables that hold a secret are not filled in
        data["url"], data["channel"] = f"{channel}/{data['fn']}", channel.rpartition("/")[0]
    path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return list(data["files"])


def _move_scripts(record: Path, prefix: Path) -> None:
    """Let the scripts of a package that pip's installer put here name the final interpreter."""
    site = record.parents[1]
    rows = list(csv.reader(record.read_text(encoding="utf-8").splitlines()))
    for row in rows:
        path = Path(os.path.normpath(site / row[0]))
        if path.parent != prefix / "bin":
            continue
        old = path.read_bytes()
        if (found := _LONG_SCRIPT.match(old) or _SCRIPT.match(old)) is None:
            continue
        python = found["python"].replace(os.fsencode(prefix), os.fsencode(PLACE))
        new = b"#!" + python + b"\n" + old[found.end() :]
        path.write_bytes(new)
        digest = base64.urlsafe_b64encode(hashlib.sha256(new).digest()).decode().rstrip("=")
        row[1:] = [f"sha256={digest}", str(len(new))]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    record.write_text(text.getvalue(), encoding="utf-8")


def _tidy_compiled(prefix: Path, packaged: set[str]) -> None:
    """Keep compiled Python that packages bring, valid whatever the time of its source; no other."""
    for path in sorted(prefix.rglob("*.pyc")):
        cached = path.parent.name == _CACHE
        source = path.parents[1] / f"{path.name.partition('.')[0]}.py"
        compiled = path.read_bytes()
        ours = path.relative_to(prefix).as_posix() in packaged
        if not ours or (cached and not _fits(compiled, source)):
            path.unlink()
        elif cached:
            digest = hashlib.sha256(source.read_bytes()).digest()[:8]
            path.write_bytes(compiled[:4] + _UNCHECKED + digest + compiled[_HEADER:])
    for folder in sorted(prefix.rglob(_CACHE), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _fits(compiled: bytes, source: Path) -> bool:
    """Tell whether a file was compiled from a source of that size: one with a prefix in it grew."""
    magic = int.from_bytes(compiled[:2], "little")
    timed = _FIRST_MAGIC <= magic <= _LAST_MAGIC and compiled[4:8] == bytes(4)
    size = int.from_bytes(compiled[12:_HEADER], "little")
    return timed and source.is_file() and source.stat().st_size == size
