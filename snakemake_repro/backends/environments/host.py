"""The host as an environment: recorded as it is, never called pinned."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import snakemake_repro
from snakemake_repro.backends.environments.distributions import distributions
from snakemake_repro.backends.files import hash_file
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentRecord, Package

_TAG = "HostEnvironment/1"


class HostEnvironment:
    """The interpreter and packages that run this process; a ``RealisedEnvironment``."""

    @property
    def record(self) -> EnvironmentRecord:
        """What it consists of."""
        return _record()

    @property
    def python(self) -> None:
        """No interpreter of its own."""

    @property
    def programs(self) -> None:
        """Those that are found on ``PATH``."""

    @property
    def directories(self) -> tuple[str, ...]:
        """Where this process finds its interpreter and its packages."""
        given = os.environ.get("PYTHONPATH", "").split(":")
        found = [path for path in sys.path if path not in given and Path(path).is_dir()]
        own = str(Path(snakemake_repro.__file__).parent)
        return (sys.prefix, sys.base_prefix, own, *filter(os.path.isabs, found))

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment as it is."""
        return dict(base)


@cache
def interpreter_digest() -> Digest:
    """Return the SHA-256 of the interpreter that runs this process.

    Raises:
        StorageError: It cannot be read.
    """
    return hash_file(Path(sys.executable).resolve())[0]


@cache
def _record() -> EnvironmentRecord:
    versions: dict[str, str] = {}
    for name, version, _ in distributions():
        versions.setdefault(name, version)  # the first is what would be imported
    packages = tuple(Package(name=n, version=v) for n, v in sorted(versions.items()))
    python, place = platform.python_version(), sysconfig.get_platform()
    content = [python, place, [[p.name, p.version] for p in packages]]
    return EnvironmentRecord(
        digest=digest_of(_TAG, content),
        kind=EnvironmentKind.HOST,
        pinned=False,
        name="host",
        platform=place,
        python=python,
        interpreter=interpreter_digest(),
        packages=packages,
    )
