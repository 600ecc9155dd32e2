"""Lock environment files: resolve what they ask for to exact versions and digests."""

from __future__ import annotations

import dataclasses
import enum
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from snakemake_repro.backends.environments.indexes import indexes
from snakemake_repro.backends.environments.lockfile import lock_path, read_spec
from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentSpecError, NotFoundError, StorageError
from snakemake_repro.logic.pypi_spec import PypiSpec
from snakemake_repro.logic.requirements import (
    LockedPackage,
    NewerLockError,
    PypiLock,
    moved,
    parse_compiled,
    parse_lock,
)

_CHOICES = ("UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_RESOLUTION")
"""Which versions the user prefers, told to uv; in an installation there is nothing to choose."""


class LockState(enum.StrEnum):
    """What became of a lock, or with ``check`` what it is."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    MISSING = "missing"
    STALE = "stale"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """What became of one environment file's lock.

    Attributes:
        source: The environment file.
        lock: Its lock.
        state: What became of it; with ``check`` nothing, it is unchanged, missing or stale.
        moved: Packages whose version changed: name, old version, new version.
    """

    source: Path
    lock: Path
    state: LockState
    moved: tuple[tuple[str, str | None, str | None], ...] = ()

    @property
    def current(self) -> bool:
        """The lock satisfies the file as it is."""
        return self.state not in (LockState.MISSING, LockState.STALE)


def lock(
    files: Sequence[Path],
    *,
    check: bool = False,
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
) -> tuple[Locked, ...]:
    """Bring the locks of environment files up to date.

    Versions that are locked stay, as far as the file still allows them, unless they are to be
    upgraded; so do versions in a requirements file that stands in the lock's place. Digests
    always come from the index. A lock holds for every platform that the packages have wheels for,
    and for every Python from 3.11 to 3.13 that its environment file admits.

    Args:
        files: Environment files.
        check: Change nothing, only look whether the locks fit their files.
        upgrade: Move every package to its newest version.
        upgrade_packages: Move these packages.

    Raises:
        EnvironmentSpecError: A file cannot be locked.
        EnvironmentBuildError: There is no solution, or the package index cannot be reached.
        NotFoundError: A package to be upgraded is in none of the locks.
        StorageError: A lock cannot be read or written.
    """
    chosen = list(dict.fromkeys(files))
    if check:
        return tuple(map(_check, chosen))
    _require_locked(upgrade_packages, chosen)
    return tuple(_lock(file, upgrade=upgrade, packages=upgrade_packages) for file in chosen)


def _check(source: Path) -> Locked:
    spec, path = read_spec(source), lock_path(source)
    text = _read(path)
    if text is None:
        return Locked(source=source, lock=path, state=LockState.MISSING)
    fits = parse_lock(text, name=str(path)).spec == spec.digest
    return Locked(source=source, lock=path, state=LockState.UNCHANGED if fits else LockState.STALE)


def _lock(source: Path, *, upgrade: bool, packages: Sequence[str]) -> Locked:
    spec, path = read_spec(source), lock_path(source)
    old, pins = _known(path)
    if old is not None and old.spec == spec.digest and not upgrade and not packages:
        return Locked(source=source, lock=path, state=LockState.UNCHANGED)
    found = _compile(spec, pins, name=str(source), upgrade=upgrade, packages=packages)
    new = PypiLock(spec=spec.digest, python=spec.python, packages=found)
    if old == new:
        return Locked(source=source, lock=path, state=LockState.UNCHANGED)
    _write(path, new.to_text())
    state = LockState.CREATED if old is None else LockState.CHANGED
    return Locked(source=source, lock=path, state=state, moved=moved(pins, found))


def _require_locked(packages: Iterable[str], files: Iterable[Path]) -> None:
    """Refuse names that are locked nowhere: a slip of the pen must not pass for an upgrade."""
    wanted = {canonicalize_name(package) for package in packages}
    if not wanted:
        return
    known = {package.name for file in files for package in _known(lock_path(file))[1]}
    if missing := sorted(wanted - known):
        raise NotFoundError(
            f"nothing to upgrade: {', '.join(missing)} is in none of the locks",
            hint="Packages are named as in the locks; `repro lock --upgrade` moves them all.",
        )


def _compile(
    spec: PypiSpec,
    pins: Sequence[LockedPackage],
    *,
    name: str,
    upgrade: bool,
    packages: Sequence[str],
) -> tuple[LockedPackage, ...]:
    """Resolve a spec; uv keeps the versions it finds in its output file."""
    if not spec.requirements:
        return ()
    sources = indexes(portable=True)
    with tempfile.TemporaryDirectory(prefix="repro-lock-") as directory:
        wanted, result = Path(directory, "wanted.in"), Path(directory, "result.txt")
        wanted.write_text("\n".join(spec.requirements) + "\n", encoding="utf-8")
        # without digests: uv would take them over instead of asking the index for them
        result.write_text("".join(f"{pin.pin}\n" for pin in pins), encoding="utf-8")
        arguments = [
            *("pip", "compile", str(wanted), "--output-file", str(result), "--quiet"),
            *("--universal", "--python-version", spec.oldest_python, "--generate-hashes"),
            *("--no-header", "--no-annotate", "--only-binary", ":all:"),
            *("--no-emit-index-url", "--no-emit-find-links", "--python", sys.executable),
            *sources.arguments,
            *(["--upgrade"] if upgrade else []),
        ]
        for package in packages:
            arguments += ["--upgrade-package", package]
        choices = {choice: os.environ[choice] for choice in _CHOICES if choice in os.environ}
        run_uv(
            arguments,
            what=f"{name} cannot be locked",
            variables={**choices, **sources.variables},
        )
        return parse_compiled(result.read_text(encoding="utf-8"), name=lock_path(Path(name)).name)


def _known(path: Path) -> tuple[PypiLock | None, tuple[LockedPackage, ...]]:
    """Return the lock that is there, if it can be used, and the versions it names.

    A requirements file without our header, as uv and pip-compile write them, gives its versions;
    what cannot be read at all is made anew.

    Raises:
        NewerLockError: A newer version of this package made it.
    """
    text = _read(path)
    if text is None:
        return None, ()
    try:
        lock = parse_lock(text, name=str(path))
    except NewerLockError:
        raise
    except EnvironmentSpecError:
        return None, _pins(text)
    return lock, lock.packages


def _pins(text: str) -> tuple[LockedPackage, ...]:
    try:
        return parse_compiled(text, name="")
    except EnvironmentSpecError:
        return ()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StorageError(
            f"cannot read the lock {path}: {exc.strerror}", hint="Mend the permissions."
        ) from exc


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
