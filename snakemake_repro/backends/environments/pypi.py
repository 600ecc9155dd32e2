"""An environment installed from a requirements lock."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from snakemake_repro.backends.environments.indexes import indexes
from snakemake_repro.backends.environments.installed import check_installed
from snakemake_repro.backends.environments.interpreters import (
    Interpreter,
    known_versions,
    other_interpreter,
    own_interpreter,
)
from snakemake_repro.backends.environments.leaks import without_leaks
from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.requirements import (
    LockedPackage,
    PypiLock,
    applicable,
    parse_lock,
    requirement_lines,
)
from snakemake_repro.records import EnvironmentKind, EnvironmentRecord, EnvironmentSpec, Package

ENVIRONMENT_TAG = "PypiEnvironment/1"
"""Raise the number whenever the same lock would give another environment."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PypiPlan:
    """What an environment will be on this node.

    Attributes:
        packages: What to install.
        python: The interpreter that it is made with.
    """

    record: EnvironmentRecord
    packages: tuple[LockedPackage, ...]
    python: Interpreter


class PypiEnvironment:
    """A realised environment; a ``RealisedEnvironment``."""

    def __init__(self, prefix: Path, plan: PypiPlan) -> None:
        self._prefix = prefix
        self._plan = plan

    @property
    def record(self) -> EnvironmentRecord:
        """What it consists of."""
        return self._plan.record

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(interpreter(self._prefix))

    @property
    def programs(self) -> str:
        """Where it has its programs."""
        return str(self._prefix / "bin")

    @property
    def directories(self) -> tuple[str, ...]:
        """Its prefix, and where the interpreter behind it lives."""
        return (str(self._prefix), self._plan.python.base_prefix)

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return ``base`` with this environment first and nothing of another one."""
        kept = without_leaks(base)
        search = f"{self._prefix / 'bin'}:{base.get('PATH') or os.defpath}"
        return {**kept, "PATH": search, "VIRTUAL_ENV": str(self._prefix), "PYTHONNOUSERSITE": "1"}


def interpreter(prefix: Path) -> Path:
    """Return where an environment has its interpreter."""
    return prefix / "bin" / "python"


def plan(spec: EnvironmentSpec) -> PypiPlan:
    """Return what the environment will be on this node.

    Raises:
        EnvironmentSpecError: The lock cannot be used.
        EnvironmentBuildError: This node has no interpreter that it is made for.
    """
    if spec.lock_text is None:
        raise EnvironmentSpecError(f"the environment {spec.name} came without its lock")
    name = spec.lock.path if spec.lock else spec.name
    lock = parse_lock(spec.lock_text, name=name)
    python = _python(lock, spec.name)
    packages = applicable(lock, python.markers, name=name)
    content = [
        python.implementation,
        python.version,
        python.abi,
        python.platform,
        [[p.name, p.version, list(p.content)] for p in packages],
    ]
    built = tuple(package.name for package in packages if package.source)
    record = EnvironmentRecord(
        digest=digest_of(ENVIRONMENT_TAG, content),
        kind=EnvironmentKind.PYPI,
        pinned=not built,
        name=spec.name,
        platform=python.platform,
        python=python.version,
        interpreter=python.digest,
        source=spec.source,
        lock=spec.lock,
        packages=tuple(
            Package(name=p.name, version=p.version, digests=p.digests) for p in packages
        ),
        built=built,
    )
    return PypiPlan(record=record, packages=packages, python=python)


def _python(lock: PypiLock, name: str) -> Interpreter:
    """Return the interpreter of this process if a lock is made for it, else another one."""
    own = own_interpreter()
    if lock.admits(own.version):
        return own
    try:
        return other_interpreter(lock.python)
    except EnvironmentBuildError as exc:
        raise EnvironmentBuildError(
            f"the environment {name} is locked for Python {lock.python}, and this node has "
            f"{', '.join(known_versions())} only",
            hint="Install one that fits where uv finds it (on PATH, or with `uv python install`), "
            "or change `python` in the environment file and lock it again.",
        ) from exc


def build(prefix: Path, plan: PypiPlan, *, lock: int) -> None:
    """Make the environment at its final place and check what came out.

    Args:
        prefix: Absolute.
        plan: What it is to be.
        lock: Descriptor that locks the prefix. uv holds it too: should this process be killed,
            nobody may build there as long as uv still writes.

    Raises:
        EnvironmentBuildError: It cannot be made from the lock.
    """
    name, packages, python = plan.record.name, plan.packages, plan.python
    what = f"the environment {name} cannot be built"
    run_uv(
        ["venv", "--quiet", "--no-project", "--python", python.executable, str(prefix)],
        what=what,
        inherit=[lock],
    )
    packed = [package for package in packages if not package.source]
    _install(prefix, packed, ["--only-binary", ":all:"], what=what, lock=lock)
    # Isolated builds would take whatever the index has today. (uv keeps what it built, and does
    # not ask what it was built with.)
    build_here = ["--no-binary", ":all:", "--no-build-isolation", "--no-cache"]
    source = [package for package in packages if package.source]
    _install(prefix, source, build_here, what=what, lock=lock)
    site = prefix / "lib" / f"python{python.minor}" / "site-packages"
    check_installed(site, name, packages)


def _install(
    prefix: Path,
    packages: Sequence[LockedPackage],
    options: Sequence[str],
    *,
    what: str,
    lock: int,
) -> None:
    if not packages:
        return
    sources = indexes(portable=False)
    run_uv(
        [
            *("pip", "install", "--quiet", "--python", str(interpreter(prefix))),
            *("--require-hashes", "--no-deps", *options),
            # A hard link would let a job that edits its environment edit uv's cache as well,
            # and with it every environment built later. (A clone would not; uv falls back
            # from it to other ways where the file system has none, and which ones depends on
            # its version.)
            *("--link-mode", "copy", "--compile-bytecode"),
            *sources.arguments,
            *("-r", "-"),
        ],
        what=what,
        text=requirement_lines(packages),
        variables=sources.variables,
        inherit=[lock],
    )
