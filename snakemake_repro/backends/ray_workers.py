"""What must be installed where jobs run, asked of one worker of a cluster."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

OURS = "snakemake-executor-plugin-ray"
_PACKAGES = ("snakemake_repro", "snakemake_executor_plugin_ray", "snakemake_logger_plugin_repro")
_AGREEING = ("ray", "snakemake", OURS)
_NEVER_SENT = ("pyarrow", "pydantic", "starlette")


def settling(function: Callable[[], Any] = bool) -> Callable[[], Any]:
    """Return a function that lets Ray get ready to carry bytes, and no more, and calls another one.

    The first time that a process sends or receives anything, Ray imports packages of which there
    might be objects, which takes half as long as Ray itself. Ours are all bytes. It is an inner
    function, as that of `asking`.
    """
    names = _NEVER_SENT

    def settled() -> Any:
        import contextlib
        import sys

        import ray

        modules: dict[str, Any] = sys.modules
        absent = [name for name in names if name not in modules]
        modules.update(dict.fromkeys(absent))  # Python's mark of what cannot be imported
        try:
            with contextlib.suppress(ImportError):  # from a version of Ray that needs them
                ray.put(b"")
        finally:
            for name in absent:
                modules.pop(name, None)
        return function()

    return settled


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
