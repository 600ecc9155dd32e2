"""Lock environment files: resolve what they ask for to exact versions and digests."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from snakemake_repro.backends.environments.conda_lockfile import read_conda_lock
from snakemake_repro.backends.environments.lockfile import (
    UnlockedError,
    lock_of,
    read_spec,
    require_met,
    used_lock,
)
from snakemake_repro.backends.environments.lockio import read_lock, write_lock
from snakemake_repro.backends.environments.pylockfile import read_pylock
from snakemake_repro.errors import NotFoundError
from snakemake_repro.logic.conda_spec import CondaSpec, check_platforms
from snakemake_repro.logic.pypi_spec import PypiSpec
from snakemake_repro.operations.lock_conda import CondaLocker
from snakemake_repro.operations.lock_pypi import PypiLocker
from snakemake_repro.operations.locker import Locker, Moved

_Asked = tuple[Path, Path, PypiSpec | CondaSpec, bytes | None]


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
    moved: Moved = ()

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
    platforms: Sequence[str] = (),
) -> tuple[Locked, ...]:
    """Bring the locks of environment files up to date.

    Versions that are locked stay, as far as the file still allows them, unless they are to be
    upgraded; so do versions in a requirements file that stands in the lock's place. Digests
    always come from index and channel. A lock for pip holds for every platform that the packages
    have wheels for, and for every Python from 3.11 to 3.13 that its environment file admits; one
    with conda packages for the platforms that its file names, or those that it is already for,
    or this one. A lock of another tool is left alone until something is to be moved.

    Args:
        files: Environment files.
        check: Change nothing, only look whether the locks fit their files.
        upgrade: Move every package to its newest version.
        upgrade_packages: Move these packages.
        platforms: For which conda packages are to be locked as well.

    Raises:
        EnvironmentSpecError: A file cannot be locked.
        EnvironmentBuildError: There is no solution, or index or channel cannot be reached.
        NotFoundError: A package to be upgraded is in none of the locks.
        StorageError: A lock cannot be read or written.
    """
    more = check_platforms(platforms, name="--platform")
    lockers: dict[type, Locker] = {
        PypiSpec: PypiLocker(upgrade, upgrade_packages),
        CondaSpec: CondaLocker(upgrade, upgrade_packages, more),
    }
    asked = [_asked(file) for file in dict.fromkeys(files)]
    _require_locked(upgrade_packages, asked, lockers)
    moving = upgrade or upgrade_packages or more
    found: dict[Path, Locked] = {} if moving else dict(_locked_elsewhere(asked, check=check))
    for kind, locker in lockers.items():
        mine = [one for one in asked if isinstance(one[2], kind) and one[0] not in found]
        if check:
            found |= {one[0]: _checked(one, locker) for one in mine}
        else:
            found |= _lock(mine, locker)
    return tuple(found[source] for source, *_ in asked)


def _asked(source: Path) -> _Asked:
    spec = read_spec(source)
    path = lock_of(source, spec)
    return source, path, spec, read_lock(path)


def _locked_elsewhere(asked: Sequence[_Asked], *, check: bool) -> Iterator[tuple[Path, Locked]]:
    """Yield the environment files for which the lock of another tool counts."""
    for source, own, spec, _ in asked:
        path = used_lock(source, spec)
        if path != own:
            state = _state_elsewhere(source, path, spec, check=check)
            yield source, Locked(source=source, lock=path, state=state)


def _state_elsewhere(
    source: Path, path: Path, spec: PypiSpec | CondaSpec, *, check: bool
) -> LockState:
    content = read_lock(path) or b""
    if isinstance(spec, CondaSpec):
        read_conda_lock(content, name=str(path))
        return LockState.UNCHANGED
    try:
        require_met(spec, read_pylock(content, spec, name=str(path)), path, name=str(source))
    except UnlockedError:
        if not check:
            raise
        return LockState.STALE
    return LockState.UNCHANGED


def _checked(asked: _Asked, locker: Locker) -> Locked:
    source, path, spec, content = asked
    if content is None:
        return Locked(source=source, lock=path, state=LockState.MISSING)
    fits = locker.fits(content, spec, name=str(path))
    return Locked(source=source, lock=path, state=LockState.UNCHANGED if fits else LockState.STALE)


def _lock(asked: Sequence[_Asked], locker: Locker) -> dict[Path, Locked]:
    found = {}
    wanted = [(source, spec, content) for source, _, spec, content in asked]
    for (source, path, _, content), made in zip(asked, locker.lock(wanted), strict=True):
        state = LockState.UNCHANGED
        if made is not None:
            write_lock(path, made.text)
            state = LockState.CREATED if content is None or made.anew else LockState.CHANGED
        moved = () if made is None else made.moved
        found[source] = Locked(source=source, lock=path, state=state, moved=moved)
    return found


def _require_locked(
    packages: Iterable[str],
    asked: Sequence[_Asked],
    lockers: dict[type, Locker],
) -> None:
    """Refuse names that are locked nowhere: a slip of the pen must not pass for an upgrade."""
    wanted = {canonicalize_name(package) for package in packages}
    if not wanted:
        return
    known = {
        canonicalize_name(name)
        for _, path, spec, content in asked
        for name in lockers[type(spec)].names(content, name=str(path))
    }
    if missing := sorted(wanted - known):
        raise NotFoundError(
            f"nothing to upgrade: {', '.join(missing)} is in none of the locks",
            hint="Packages are named as in the locks; `repro lock --upgrade` moves them all.",
        )
