"""Locks of conda environments on disk, in the formats that are there: ours is conda-lock's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.conda_lock import CondaLock, parse_conda_lock
from snakemake_repro.logic.conda_pins import parse_pins, parse_pixi_lock

CONDA_SUFFIXES = (".conda-lock.yml", ".conda-lock.yaml")
NODES = ("linux-64", "linux-aarch64", "linux-ppc64le")
"""Platforms that nodes have."""

_PIN_SUFFIX = ".pin.txt"
_PIXI_SUFFIX = ".pixi.lock"


def conda_lock_path(env_file: Path) -> Path:
    """Return where the lock of an environment file with conda packages stands: beside it."""
    return env_file.with_name(env_file.stem + CONDA_SUFFIXES[0])


def foreign_lock(env_file: Path, here: str) -> Path | None:
    """Return the lock of another tool that stands beside an environment file, if there is one.

    Args:
        env_file: The environment file.
        here: This platform; of pins for several its own comes first.
    """
    return next((path for path in _foreign(env_file, here) if path.exists()), None)


def _foreign(env_file: Path, here: str) -> Iterator[Path]:
    for platform in sorted(NODES, key=lambda platform: platform != here):
        yield env_file.with_name(f"{env_file.stem}.{platform}{_PIN_SUFFIX}")
    yield env_file.with_name(env_file.stem + _PIXI_SUFFIX)


def read_conda_lock(content: bytes, *, name: str) -> CondaLock:
    """Read a lock, in the format that its name says.

    Raises:
        EnvironmentSpecError: It is no YAML, or no lock that can be used.
    """
    if name.endswith(_PIN_SUFFIX):
        platform = name.removesuffix(_PIN_SUFFIX).rpartition(".")[2]
        return parse_pins(content.decode("utf-8", "replace"), platform=platform, name=name)
    data = _parsed(content, name)
    parse = parse_pixi_lock if name.endswith(_PIXI_SUFFIX) else parse_conda_lock
    return parse(data, name=name)


def _parsed(content: bytes, name: str) -> Any:
    import yaml

    try:
        # hundreds of packages: the parser in Python takes four times as long
        return yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise EnvironmentSpecError(
            f"the lock {name} is no YAML: {' '.join(str(exc).split())}",
            hint="`repro lock` makes it anew.",
        ) from exc


def render_conda_lock(lock: CondaLock) -> str:
    """Return the text of a lock file."""
    import yaml

    head = "# Made by `repro lock`; conda-lock reads it as well.\n"
    return head + yaml.safe_dump(lock.to_data(), sort_keys=False, width=200)
