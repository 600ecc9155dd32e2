"""``pylock.toml`` on disk: a lock that another tool made for what pip installs."""

from __future__ import annotations

import tomllib
from pathlib import Path

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.pylock import parse_pylock
from snakemake_repro.logic.pypi_spec import PypiSpec
from snakemake_repro.logic.requirements import PypiLock

_UNNAMED = "environment"
"""What an environment file is called whose directory needs no name for it."""


def foreign_pylock(env_file: Path) -> Path | None:
    """Return the ``pylock.toml`` that belongs to an environment file, if there is one."""
    names = [f"pylock.{env_file.stem}.toml"]
    if env_file.stem == _UNNAMED:
        names.append("pylock.toml")
    return next((path for path in map(env_file.with_name, names) if path.exists()), None)


def read_pylock(content: bytes, spec: PypiSpec, *, name: str) -> PypiLock:
    """Read one as a lock for an environment file.

    Raises:
        EnvironmentSpecError: It is no TOML, or no lock that can be used.
    """
    try:
        data = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise EnvironmentSpecError(
            f"the lock {name} is no TOML: {' '.join(str(exc).split())}",
            hint="Make it anew with the tool that made it.",
        ) from exc
    return parse_pylock(data, spec, name=name)
