"""What a script in a pinned environment may see of the host: Snakemake's own pure modules.

A script gets its ``snakemake`` object unpickled, for which Snakemake must be importable. Snakemake
itself appends the host's site-packages to the script's search path, where any package of the host
would fill a gap of the environment. This directory holds links to the few packages that are
needed, and nothing else.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import snakemake_repro
from snakemake_repro.backends.environments.flock import make_once
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.logic.canonical import digest_of

_PACKAGES = (
    "snakemake",
    "snakemake_interface_common",
    "snakemake_interface_logger_plugins",
    "snakemake_interface_storage_plugins",
    "snakemake_repro",
)


def script_packages() -> dict[str, str]:
    """Return name and directory of the packages, for a container to be shown.

    Raises:
        EnvironmentBuildError: One of them is not installed.
    """
    return {name: str(target) for name, target in _contents()[1].items()}


def script_search_path(root: Path) -> Path:
    """Return the directory of links below a store, making it first if need be.

    Raises:
        EnvironmentBuildError: It cannot be made.
    """
    key, targets = _contents()
    place = root.absolute() / f"scripts-{key}"
    try:
        make_once(place, lambda building: _link(building, targets))
    except OSError as exc:
        raise EnvironmentBuildError(
            f"cannot make {place}: {exc.strerror or exc}",
            hint="Free some space or mend the permissions, or name another place with "
            "--ray-environment-store.",
        ) from exc
    return place


def _link(building: Path, targets: Mapping[str, Path]) -> None:
    for name, target in targets.items():
        (building / name).symlink_to(target, target_is_directory=True)


@cache
def _contents() -> tuple[str, dict[str, Path]]:
    """Return the key of the directory and what it links to."""
    targets = {name: _location(name) for name in _PACKAGES}
    version = importlib.metadata.version("snakemake")
    content = [version, snakemake_repro.__version__, sorted(map(str, targets.values()))]
    return digest_of("ScriptSearchPath/1", content).value[:16], targets


def _location(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise EnvironmentBuildError(
            f"the package {package} is not installed on this node",
            hint="Install snakemake-executor-plugin-ray with its dependencies there.",
        )
    return Path(found.origin).resolve().parent
