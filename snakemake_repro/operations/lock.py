"""Lock environment files: resolve what they ask for to exact versions and digests."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from snakemake_repro.backends.environments.lockfile import lock_path, read_spec
from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentSpecError, StorageError
from snakemake_repro.logic.requirements import (
    LockedPackage,
    PypiLock,
    PypiSpec,
    moved,
    parse_compiled,
    parse_lock,
    requirement_lines,
)

_OLDEST_PYTHON = "3.11"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """What became of one environment file's lock.

    Attributes:
        source: The environment file.
        lock: Its lock.
        state: ``created``, ``changed``, ``unchanged``; with ``check`` also ``missing``, ``stale``.
        moved: Packages whose version changed: name, old version, new version.
    """

    source: Path
    lock: Path
    state: str
    moved: tuple[tuple[str, str | None, str | None], ...] = ()

    @property
    def current(self) -> bool:
        """The lock satisfies the file as it is."""
        return self.state not in ("missing", "stale")


def lock(
    files: Sequence[Path],
    *,
    check: bool = False,
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
) -> tuple[Locked, ...]:
    """Bring the locks of environment files up to date.

    Versions that are locked stay, as far as the file still allows them, unless they are to be
    upgraded. A lock holds for Python 3.11 to 3.13 on every platform.

    Args:
        files: Environment files.
        check: Change nothing, only look whether the locks fit their files.
        upgrade: Move every package to its newest version.
        upgrade_packages: Move these packages.

    Raises:
        EnvironmentSpecError: A file cannot be locked.
        EnvironmentBuildError: There is no solution, or the package index cannot be reached.
        StorageError: A lock cannot be written.
    """
    return tuple(
        _check(file) if check else _lock(file, upgrade=upgrade, packages=upgrade_packages)
        for file in files
    )


def _check(source: Path) -> Locked:
    spec, path = read_spec(source), lock_path(source)
    old = _read(path)
    if old is None:
        return Locked(source=source, lock=path, state="missing")
    state = "unchanged" if old.spec == spec.digest else "stale"
    return Locked(source=source, lock=path, state=state)


def _lock(source: Path, *, upgrade: bool, packages: Sequence[str]) -> Locked:
    spec, path = read_spec(source), lock_path(source)
    old = _readable(path)
    if old is not None and old.spec == spec.digest and not upgrade and not packages:
        return Locked(source=source, lock=path, state="unchanged")
    pins = old.packages if old is not None else ()
    found = _compile(spec, pins, name=str(source), upgrade=upgrade, packages=packages)
    new = PypiLock(spec=spec.digest, python=spec.python, packages=found)
    if old == new:
        return Locked(source=source, lock=path, state="unchanged")
    _write(path, new.to_text())
    return Locked(
        source=source,
        lock=path,
        state="created" if old is None else "changed",
        moved=moved(pins, found),
    )


def _compile(
    spec: PypiSpec,
    pins: tuple[LockedPackage, ...],
    *,
    name: str,
    upgrade: bool,
    packages: Sequence[str],
) -> tuple[LockedPackage, ...]:
    """Resolve a spec; uv keeps the versions it finds in its output file."""
    if not spec.requirements:
        return ()
    with tempfile.TemporaryDirectory(prefix="repro-lock-") as directory:
        wanted, result = Path(directory, "wanted.in"), Path(directory, "result.txt")
        wanted.write_text("\n".join(spec.requirements) + "\n")
        if pins:
            result.write_text(requirement_lines(pins))
        arguments = [
            *("pip", "compile", str(wanted), "--output-file", str(result), "--quiet"),
            *("--universal", "--python-version", _OLDEST_PYTHON, "--generate-hashes"),
            *("--no-header", "--no-annotate", "--no-strip-extras", "--only-binary", ":all:"),
            *(["--upgrade"] if upgrade else []),
        ]
        for package in packages:
            arguments += ["--upgrade-package", package]
        run_uv(arguments, what=f"{name} cannot be locked")
        return parse_compiled(result.read_text(), name=name)


def _read(path: Path) -> PypiLock | None:
    try:
        return parse_lock(path.read_text(encoding="utf-8"), name=str(path))
    except FileNotFoundError:
        return None


def _readable(path: Path) -> PypiLock | None:
    """Return the lock that is there; one that cannot be used is made anew."""
    try:
        return _read(path)
    except EnvironmentSpecError:
        return None


def _write(path: Path, text: str) -> None:
    try:
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as exc:
        raise StorageError(
            f"cannot write the lock {path}: {exc.strerror}",
            hint="Free some space or mend the permissions.",
        ) from exc
