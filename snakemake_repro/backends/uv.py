"""uv: resolves requirements and installs them, as a subprocess."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.logic.redaction import strip_credentials

_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
_PIP_SETTING = re.compile(r"[^=]*\.(?P<name>[a-z-]+)='(?P<value>.*)'")
_ERROR_LINES = 12


def run_uv(arguments: Sequence[str], *, what: str, text: str | None = None) -> str:
    """Run uv and return its standard output.

    Args:
        arguments: Of the command.
        what: What fails when it fails, for the message.
        text: Standard input.

    Raises:
        EnvironmentBuildError: It ends with an error; the message holds the end of what it said.
    """
    from uv import find_uv_bin

    try:
        done = subprocess.run(
            [find_uv_bin(), *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env={**_environ(), **_index_settings()},
        )
    except (OSError, FileNotFoundError) as exc:
        raise EnvironmentBuildError(
            f"{what}: uv cannot be started ({exc})",
            hint="uv comes with snakemake-executor-plugin-ray; install it again.",
        ) from exc
    if done.returncode != 0:
        lines = [strip_credentials(line) for line in done.stderr.strip().splitlines()]
        raise EnvironmentBuildError(
            "\n  ".join([f"{what}:", *lines[-_ERROR_LINES:]]), hint=_advice(done.stderr)
        )
    return done.stdout


def _advice(stderr: str) -> str:
    lowered = stderr.lower()
    if "no space left" in lowered:
        return "Free some space, or name another place with --ray-environment-store."
    if "hash mismatch" in lowered:
        return (
            "The file is not the one that was locked; do not trust it. `repro lock` makes a lock."
        )
    if "no solution found" in lowered or "not found in the package registry" in lowered:
        return "Is the package index reachable, and does it have these versions for this Python?"
    return "Is the package index reachable? uv reads UV_* variables, uv.toml and pip's settings."


def _environ() -> dict[str, str]:
    """Return our environment without what would make uv work on another project."""
    dropped = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


@cache
def _index_settings() -> Mapping[str, str]:
    """Return pip's index settings as uv's, unless uv has its own.

    uv does not read pip's configuration; a user whose pip works behind a mirror expects that this
    works, too. pip looks at all indexes at once and takes the best version, which is safe here
    because every file is checked against the lock.
    """
    if any(name in os.environ for name in _INDEX_VARIABLES):
        return {}
    pip = _pip_settings()
    settings = {}
    if pip.get("index-url"):
        settings["UV_DEFAULT_INDEX"] = pip["index-url"]
    extra = [url for url in pip.get("extra-index-url", "").split() if _exists(url)]
    if extra:
        settings["UV_INDEX"] = " ".join(extra)
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    links = [link for link in pip.get("find-links", "").split() if _exists(link)]
    if links:
        settings["UV_FIND_LINKS"] = ",".join(links)
    if pip.get("cert") and "SSL_CERT_FILE" not in os.environ:
        settings["SSL_CERT_FILE"] = pip["cert"]
    return settings


def _pip_settings() -> dict[str, str]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    matches = map(_PIP_SETTING.fullmatch, done.stdout.splitlines())
    # pip lists files first and the environment last, which is its order of precedence
    found = sorted((m for m in matches if m), key=lambda m: m[0].startswith(":env:"))
    return {m["name"]: m["value"].replace("\\n", " ") for m in found}


def _exists(place: str) -> bool:
    parts = urlsplit(place)
    if parts.scheme in ("", "file"):
        return Path(parts.path).exists()
    return True
