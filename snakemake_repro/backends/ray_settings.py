"""What a Ray that is started here reads from the environment, and where it keeps its files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping

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


def short_tmp() -> str:
    """Return where Ray's directories go.

    Unix sockets below them are limited to 107 bytes, so TMPDIR may be too deep.
    """
    return "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()  # noqa: S108
