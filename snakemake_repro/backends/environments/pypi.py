"""An environment installed from a requirements lock."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from packaging.markers import default_environment
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.requirements import (
    LockedPackage,
    PypiLock,
    parse_lock,
    requirement_lines,
)
from snakemake_repro.records import EnvironmentKind, EnvironmentRecord, EnvironmentSpec, Package

_TAG = "PypiEnvironment/1"
_LEAKS = (
    "PYTHONPATH",
    "PYTHONHOME",
    "R_LIBS",
    "R_LIBS_USER",
    "PERLLIB",
    "PERL5LIB",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "__PYVENV_LAUNCHER__",
)


class PypiEnvironment:
    """A realised environment; a ``RealisedEnvironment``."""

    def __init__(self, prefix: Path, record: EnvironmentRecord) -> None:
        self._prefix = prefix
        self._record = record

    @property
    def record(self) -> EnvironmentRecord:
        """What it consists of."""
        return self._record

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self._prefix / "bin" / "python")

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return ``base`` with this environment first and nothing of another one."""
        kept = {name: value for name, value in base.items() if name not in _LEAKS}
        search = f"{self._prefix / 'bin'}:{base.get('PATH', '/usr/bin:/bin')}"
        return {**kept, "PATH": search, "VIRTUAL_ENV": str(self._prefix), "PYTHONNOUSERSITE": "1"}


def plan(spec: EnvironmentSpec) -> tuple[EnvironmentRecord, tuple[LockedPackage, ...]]:
    """Return what the environment will be on this node, and what to install for it.

    Raises:
        EnvironmentSpecError: The lock cannot be used.
        EnvironmentBuildError: It is not made for this interpreter.
    """
    if spec.lock_text is None:
        raise EnvironmentSpecError(f"the environment {spec.name} came without its lock")
    lock = parse_lock(spec.lock_text, name=spec.lock.path if spec.lock else spec.name)
    _check_python(lock, spec.name)
    markers = {name: str(value) for name, value in default_environment().items()}
    packages = lock.applicable(markers)
    python, place = platform.python_version(), sysconfig.get_platform()
    content = [
        platform.python_implementation(),
        python,
        place,
        [[p.name, p.version, [str(d) for d in p.digests]] for p in packages],
    ]
    record = EnvironmentRecord(
        digest=digest_of(_TAG, content),
        kind=EnvironmentKind.PYPI,
        pinned=True,
        name=spec.name,
        platform=place,
        python=python,
        source=spec.source,
        lock=spec.lock,
        packages=tuple(
            Package(name=p.name, version=p.version, digests=p.digests) for p in packages
        ),
    )
    return record, packages


def build(prefix: Path, name: str, packages: tuple[LockedPackage, ...]) -> None:
    """Make the environment at its final place and check what came out.

    Raises:
        EnvironmentBuildError: It cannot be made from the lock.
    """
    what = f"the environment {name} cannot be built"
    run_uv(["venv", "--quiet", "--no-project", "--python", sys.executable, str(prefix)], what=what)
    if packages:
        run_uv(
            [
                *("pip", "install", "--quiet", "--python", str(prefix / "bin" / "python")),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
                # A hard link would let a job that edits its environment edit uv's cache as well,
                # and with it every environment built later.
                *("--link-mode", "copy"),
                "--compile-bytecode",
                *("-r", "-"),
            ],
            what=what,
            text=requirement_lines(packages),
        )
    _check_installed(prefix, name, packages)


def _check_python(lock: PypiLock, name: str) -> None:
    version = platform.python_version()
    if not SpecifierSet(lock.python).contains(version, prereleases=True):
        raise EnvironmentBuildError(
            f"the environment {name} is locked for Python {lock.python}, this node has {version}",
            hint="Run with a Python that the lock is made for, or change `python` in the "
            "environment file and lock it again.",
        )


def _check_installed(prefix: Path, name: str, packages: tuple[LockedPackage, ...]) -> None:
    major, minor = sys.version_info[:2]
    site = prefix / "lib" / f"python{major}.{minor}" / "site-packages"
    found = {
        canonicalize_name(distribution.name): distribution.version
        for distribution in importlib.metadata.distributions(path=[str(site)])
    }
    expected = {package.name: package.version for package in packages}
    if found != expected:
        wrong = sorted(found.items() ^ expected.items())
        raise EnvironmentBuildError(
            f"the environment {name} is not what its lock says after installation: {wrong}",
            hint="`repro lock` makes the lock anew.",
        )
