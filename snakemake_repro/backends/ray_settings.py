"""What a Ray that is started here reads from the environment, and where it keeps its files."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from snakemake_repro.backends import processtree

_LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's own switch for "one machine only": every server listens on loopback."""


def set_process_defaults(*, loopback: bool) -> None:
    """Set what Ray reads from the environment when it is imported."""
    if loopback:
        os.environ[_LOOPBACK_SWITCH] = "0"
    defaults: Mapping[str, str] = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_DEDUP_LOGS": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def make_directory(prefix: str) -> Path:
    """Make a directory for a Ray of this process; remove those whose process was killed.

    Unix sockets below it are limited to 107 bytes, so TMPDIR may be too deep.

    Args:
        prefix: Of the directory's name, which tells what it is for.

    Raises:
        OSError: It cannot be made.
    """
    parent = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()  # noqa: S108
    for directory in Path(parent).glob(f"{prefix}-*-*"):
        pid = directory.name.removeprefix(f"{prefix}-").partition("-")[0]
        with contextlib.suppress(FileNotFoundError):  # somebody else was faster
            ours = directory.stat().st_uid == os.getuid()
            if ours and pid.isdigit() and not processtree.alive(int(pid)):
                shutil.rmtree(directory, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-{os.getpid()}-", dir=parent))
