"""Locking conda packages, platform by platform, and what pip adds to them."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from snakemake_repro.backends.conda_solver import Request, solve
from snakemake_repro.backends.environments.conda import this_platform
from snakemake_repro.backends.environments.conda_lockfile import (
    conda_lock_path,
    read_conda_lock,
    render_conda_lock,
)
from snakemake_repro.backends.environments.indexes import indexes
from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.logic.conda_lock import PIP, CondaLock, LockedFile, moved_files
from snakemake_repro.logic.conda_spec import CondaSpec
from snakemake_repro.operations.locker import Made, choices, omissions
from snakemake_repro.records import Digest

_WHEELS = {
    "linux-64": "x86_64-manylinux_2_28",
    "linux-aarch64": "aarch64-manylinux_2_28",
    "osx-64": "x86_64-apple-darwin",
    "osx-arm64": "aarch64-apple-darwin",
    "win-64": "x86_64-pc-windows-msvc",
}
"""What uv calls the platforms."""

_PYTHON = "python"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Wish:
    """One environment file that is to be locked anew."""

    source: Path
    spec: CondaSpec
    old: CondaLock | None
    platforms: tuple[str, ...]


class CondaLocker:
    """Makes ``x.conda-lock.yml``."""

    def __init__(
        self,
        upgrade: bool,  # noqa: FBT001 - one flag
        packages: Sequence[str],
        platforms: Sequence[str],
    ) -> None:
        self._upgrade = upgrade
        self._packages = {canonicalize_name(package) for package in packages}
        self._platforms = frozenset(platforms)

    def fits(self, content: bytes, spec: CondaSpec, *, name: str) -> bool:
        """Tell whether a lock was made from a spec; of other tools' locks that is not known.

        Raises:
            EnvironmentSpecError: It cannot be used.
        """
        lock = read_conda_lock(content, name=name)
        asked = {*spec.platforms, *self._platforms}
        return lock.spec in (None, spec.digest) and asked <= set(lock.platforms)

    def names(self, content: bytes | None, *, name: str) -> Iterator[str]:
        """Yield the packages of a lock."""
        lock = _known(content, name)
        yield from () if lock is None else (file.name for file in lock.files)

    def lock(self, wanted: Sequence[tuple[Path, CondaSpec, bytes | None]]) -> Iterator[Made | None]:
        """Yield the new lock of each environment file, ``None`` where it stays as it is.

        All files and platforms are solved at once, so that a channel is read once.

        Args:
            wanted: Environment files, what they ask for, and what stands in their locks' place.

        Raises:
            EnvironmentSpecError: A match spec cannot be read.
            EnvironmentBuildError: There is no solution, or a channel cannot be reached.
        """
        wishes = [self._wish(*one) for one in wanted]
        requests = [
            self._request(wish, platform)
            for wish in wishes
            if wish is not None
            for platform in wish.platforms
        ]
        solved = iter(solve(requests))
        for wish in wishes:
            yield None if wish is None else self._made(wish, solved)

    def _wish(self, source: Path, spec: CondaSpec, content: bytes | None) -> _Wish | None:
        old = _known(content, str(conda_lock_path(source)))
        platforms = spec.platforms or (old.platforms if old else ()) or (this_platform(),)
        asked = tuple(sorted({*platforms, *self._platforms}))
        current = old is not None and old.spec == spec.digest and old.platforms == asked
        if current and not self._upgrade and not self._packages:
            return None
        return _Wish(source=source, spec=spec, old=old, platforms=asked)

    def _request(self, wish: _Wish, platform: str) -> Request:
        return Request(
            name=str(wish.source),
            channels=wish.spec.channels,
            packages=wish.spec.packages,
            platform=platform,
            locked=self._kept(wish, platform),
        )

    def _kept(self, wish: _Wish, platform: str) -> tuple[LockedFile, ...]:
        """Return the files of the old lock that are to stay if they can."""
        if wish.old is None or self._upgrade:
            return ()
        files = wish.old.for_platforms([platform])
        return tuple(f for f in files if canonicalize_name(f.name) not in self._packages)

    def _made(self, wish: _Wish, solved: Iterator[tuple[LockedFile, ...]]) -> Made | None:
        files: list[LockedFile] = []
        for platform in wish.platforms:
            conda = next(solved)
            files += conda
            if wish.spec.requirements:
                files += self._pip(wish, platform, conda)
        new = CondaLock(
            spec=wish.spec.digest,
            channels=wish.spec.channels,
            platforms=wish.platforms,
            files=tuple(sorted(files)),
            sources=(wish.source.name,),
        )
        if wish.old == new:
            return None
        old = () if wish.old is None else wish.old.files
        moved = moved_files(old, new.files)
        return Made(text=render_conda_lock(new), moved=moved, anew=wish.old is None)

    def _pip(self, wish: _Wish, platform: str, conda: Sequence[LockedFile]) -> Iterator[LockedFile]:
        """Yield what pip adds: for each package the one wheel that fits the platform.

        What a package needs and conda already gives is not installed twice.
        """
        what = f"{wish.source} cannot be locked for {platform}"
        versions: dict[str, str] = {canonicalize_name(f.name): f.version for f in conda}
        if _PYTHON not in versions:
            raise EnvironmentSpecError(
                f"{what}: it has a list for pip, but no Python", hint="Add python to the file."
            )
        if platform not in _WHEELS:
            raise EnvironmentSpecError(
                f"{what}: nothing is known of wheels for it",
                hint=f"Lock it for one of {', '.join(sorted(_WHEELS))}.",
            )
        kept = {f.name: f.version for f in self._kept(wish, platform) if f.manager == PIP}
        for package in _compile(wish.spec, platform, versions, kept, what=what):
            if canonicalize_name(package["name"]) not in versions:
                yield _wheel(package, platform, what=what)


def _compile(
    spec: CondaSpec,
    platform: str,
    conda: dict[str, str],
    kept: dict[str, str],
    *,
    what: str,
) -> list[dict[str, Any]]:
    sources = indexes(portable=True)
    with tempfile.TemporaryDirectory(prefix="repro-lock-") as directory:
        wanted, bounds, result = (
            Path(directory, name) for name in ("wanted.in", "bounds.in", "pylock.toml")
        )
        wanted.write_text("".join(f"{line}\n" for line in spec.requirements), encoding="utf-8")
        pins = {**kept, **{n: v for n, v in conda.items() if n != _PYTHON and _is_version(v)}}
        lines = (f"{name}=={version}\n" for name, version in sorted(pins.items()))
        bounds.write_text("".join(lines), encoding="utf-8")
        run_uv(
            [
                *("pip", "compile", str(wanted), "--constraint", str(bounds), "--quiet"),
                *("--format", "pylock.toml", "--output-file", str(result), "--no-header"),
                *("--python-version", conda[_PYTHON], "--python-platform", _WHEELS[platform]),
                *("--only-binary", ":all:", "--python", sys.executable),
                *sources.arguments,
                *omissions(spec.requirements, wanted.parent),
            ],
            what=what,
            variables={**choices(), **sources.variables},
        )
        packages: list[dict[str, Any]] = tomllib.loads(result.read_text(encoding="utf-8")).get(
            "packages", []
        )
        return packages


def _wheel(package: dict[str, Any], platform: str, *, what: str) -> LockedFile:
    wheels = package.get("wheels") or [{}]
    url, sha256 = wheels[0].get("url"), wheels[0].get("hashes", {}).get("sha256")
    if url is None or sha256 is None:
        raise EnvironmentBuildError(
            f"{what}: {package['name']} {package.get('version')} has no wheel with an address and "
            "a SHA-256 in the package index",
            hint="A lock of conda packages names each file's address; a directory of this machine "
            "has none.",
        )
    return LockedFile(
        platform=platform,
        manager=PIP,
        name=package["name"],
        version=package["version"],
        url=url,
        sha256=Digest(sha256),
    )


def _known(content: bytes | None, name: str) -> CondaLock | None:
    """Return the lock that is there; one that cannot be used is made anew."""
    if content is None:
        return None
    try:
        return read_conda_lock(content, name=name)
    except EnvironmentSpecError:
        return None


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
