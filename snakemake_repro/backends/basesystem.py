"""The system files of hermetic jobs: the node's own, or an unpacked root file system."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

from snakemake_repro.backends.files import hash_file, observe
from snakemake_repro.backends.settingsfiles import settings_directory, stamps
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.errors import IsolationError
from snakemake_repro.logic.sandbox import Mount, lies_in
from snakemake_repro.records import BaseSystem, FileKind

_SYSTEM = ("/usr", "/nix/store", "/gnu/store")
_ALIASES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    "alternatives",
    "ca-certificates",
    "crypto-policies",
    "fonts",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "mime.types",
    "perl",
    "pki",
    "protocols",
    "R",
    "services",
    "ssl",
)
"""What programs of a distribution need of ``/etc``; none of it is about this machine."""

NOT_FILES = frozenset(("dev", "proc", "run", "sys", "tmp"))
"""Directories of a root file system whose content is none of the system's files."""

_PACKAGE_LISTS = ("/var/lib/dpkg/status", "/var/lib/rpm/rpmdb.sqlite", "/lib/apk/db/installed")
_CACHE = "base.statcache"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """System files as a job sees them.

    Attributes:
        mounts: All read-only.
        symlinks: Paths with the texts of the links there.
    """

    record: BaseSystem
    mounts: tuple[Mount, ...]
    symlinks: tuple[tuple[str, str], ...] = ()

    @property
    def directories(self) -> tuple[str, ...]:
        """What of it is a directory."""
        return tuple(m.target for m in self.mounts if Path(m.source).is_dir())

    def has(self, path: str) -> bool:
        """Tell whether the system has a file."""
        return any(Path(place).exists() for place in self._sources(path))

    def _sources(self, path: str) -> list[str]:
        holders = [m for m in self.mounts if lies_in(path, m.target)]
        return [m.source + path[len(m.target) :] for m in holders]


@functools.lru_cache(maxsize=4)
def base_system(directory: str | None, store: Path) -> Base:
    """Return the system files that jobs are to see.

    Args:
        directory: An unpacked root file system, or ``None`` for the node's own.
        store: Where this node remembers the digests of files.

    Raises:
        IsolationError: The directory holds no root file system.
        StorageError: Part of it cannot be read.
    """
    return _host(store) if directory is None else _unpacked(Path(directory), store)


def _host(store: Path) -> Base:
    shown = [path for path in _SYSTEM if Path(path).is_dir()]
    symlinks = []
    for alias in _ALIASES:
        if Path(alias).is_symlink():
            symlinks.append((alias, os.readlink(alias)))  # noqa: PTH115 - the text as it stands
        elif Path(alias).is_dir():
            shown.append(alias)
    settings = [Path("/etc", name) for name in _SETTINGS if Path("/etc", name).exists()]
    etc = settings_directory(store, settings, stamps(settings))
    packages = next((Path(path) for path in _PACKAGE_LISTS if Path(path).is_file()), None)
    return Base(
        record=BaseSystem(
            kind="host",
            name=_system_name(Path("/")),
            digest=None if packages is None else hash_file(packages)[0],
        ),
        mounts=(
            Mount(source=str(etc), target="/etc"),
            *(Mount(source=path, target=path) for path in shown),
        ),
        symlinks=tuple(symlinks),
    )


def _unpacked(directory: Path, store: Path) -> Base:
    if not (directory / "bin" / "sh").exists() and not (directory / "usr" / "bin" / "sh").exists():
        raise IsolationError(
            f"{directory} is no root file system: expected bin/sh in it",
            hint="Name a directory with an unpacked root file system with --ray-base, or leave "
            "it away for the node's own system files.",
        )
    store.mkdir(parents=True, exist_ok=True)
    cache = StatCache.load(store / _CACHE)
    seen = observe(directory, root=Path("/"), cache=cache)
    cache.save(store / _CACHE)
    mounts, symlinks = [], []
    for entry in sorted(directory.iterdir()):
        if entry.name in NOT_FILES:
            continue
        if entry.name == "etc":
            etc = settings_directory(store, sorted(entry.iterdir()), str(seen.digest))
            mounts.append(Mount(source=str(etc), target="/etc"))
            continue
        if entry.is_symlink():
            symlinks.append((f"/{entry.name}", os.readlink(entry)))  # noqa: PTH115
        else:
            mounts.append(Mount(source=str(entry), target=f"/{entry.name}"))
    return Base(
        record=BaseSystem(
            kind="directory",
            name=_system_name(directory),
            path=str(directory),
            digest=seen.digest,
            pinned=seen.kind is FileKind.DIRECTORY,
        ),
        mounts=tuple(mounts),
        symlinks=tuple(symlinks),
    )


def _system_name(root: Path) -> str:
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            lines = (root / name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key == "PRETTY_NAME":
                return value.strip("\"'")
    return "unknown"
