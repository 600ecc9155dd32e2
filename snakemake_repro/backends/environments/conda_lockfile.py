"""Locks of conda environments on disk, in the formats that are there: ours is conda-lock's own."""

from __future__ import annotations

from pathlib import Path

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.conda_lock import CondaLock, parse_conda_lock

CONDA_SUFFIXES = (".conda-lock.yml", ".conda-lock.yaml")


def conda_lock_path(env_file: Path) -> Path:
    """Return where the lock of an environment file with conda packages stands: beside it."""
    return env_file.with_name(env_file.stem + CONDA_SUFFIXES[0])


def read_conda_lock(content: bytes, *, name: str) -> CondaLock:
    """Read a lock.

    Raises:
        EnvironmentSpecError: It is no YAML, or no lock that can be used.
    """
    import yaml

    try:
        # hundreds of packages: the parser in Python takes four times as long
        data = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise EnvironmentSpecError(
            f"the lock {name} is no YAML: {' '.join(str(exc).split())}",
            hint="`repro lock` makes it anew.",
        ) from exc
    return parse_conda_lock(data, name=name)


def render_conda_lock(lock: CondaLock) -> str:
    """Return the text of a lock file."""
    import yaml

    head = "# Made by `repro lock`; conda-lock reads it as well.\n"
    return head + yaml.safe_dump(lock.to_data(), sort_keys=False, width=200)
