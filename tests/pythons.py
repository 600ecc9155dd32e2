"""Interpreters of this machine beside the one that runs the tests."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from snakemake_repro.logic.pypi_spec import PYTHONS

_PLACES = (
    "/usr/bin",
    "/usr/local/bin",
    "~/.pyenv/versions/*/bin",
    "~/.local/share/uv/python/*/bin",
)


def another_python(*, on_path: bool = False) -> tuple[str, Path]:
    """Return version and file of another Python that environments may have, the newest.

    Args:
        on_path: Only one that is found on PATH.
    """
    own, search = platform.python_version(), os.environ["PATH"].split(":")
    found = {
        version: path
        for version, path in _pythons()
        if version != own and (not on_path or str(path.parent) in search)
    }
    newest = max(found, key=Version, default=None)
    if newest is None:
        pytest.skip(f"this machine has no Python but {own} from {PYTHONS[0]} to {PYTHONS[-1]}")
    return newest, found[newest]


def _pythons() -> Iterator[tuple[str, Path]]:
    script = "import platform; print(platform.python_version())"
    for place in _PLACES:
        folder = Path(place).expanduser()
        for minor in PYTHONS:
            name = str((folder / f"python{minor}").relative_to("/"))
            for path in Path("/").glob(name):
                done = subprocess.run(
                    [path, "-c", script], capture_output=True, text=True, check=False
                )
                if done.returncode == 0:
                    yield done.stdout.strip(), path
