"""What must be installed where jobs run, asked of one worker of a cluster."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping

OURS = "snakemake-executor-plugin-ray"
_PACKAGES = ("snakemake_repro", "snakemake_executor_plugin_ray", "snakemake_logger_plugin_repro")
_AGREEING = ("ray", "snakemake", OURS)


def asking() -> Callable[[], dict[str, str]]:
    """Return a function that tells the versions that driver and workers must agree on.

    Ray sends an inner function with its code; of any other it sends the name of its module, which
    workers may lack.
    """
    packages = _AGREEING

    def versions() -> dict[str, str]:
        import importlib.metadata
        import sys

        found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
        for package in packages:
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        return found

    return versions


def differences(theirs: Mapping[str, str]) -> list[str]:
    """Return what of a worker's versions does not fit ours; packages of ours can be sent."""
    return [
        f"{name}: {theirs.get(name, 'missing')} there, {version} here"
        for name, version in asking()().items()
        if theirs.get(name) != version and not (name == OURS and lack_us(theirs))
    ]


def lack_us(theirs: Mapping[str, str]) -> bool:
    """Tell whether a worker has none of our packages."""
    return OURS not in theirs


def importable() -> bool:
    """Import what runs jobs on a worker."""
    return importlib.util.find_spec("snakemake_repro.operations.execute") is not None


def folders() -> list[str]:
    """Return where our packages lie, to be sent to workers."""
    return list(map(_folder, _PACKAGES))


def _folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return spec.submodule_search_locations[0]
