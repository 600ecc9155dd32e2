"""Locks: the exact files that satisfy an environment file.

A lock is a requirements file in pip's hash-checking mode: versions and SHA-256 digests, no URL, so
that any index or mirror can serve it. A structured comment at its head says what it was made from.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from packaging.markers import (
    InvalidMarker,
    Marker,
    UndefinedComparison,
    UndefinedEnvironmentName,
)
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from snakemake_repro.errors import EnvironmentSpecError, RecordError
from snakemake_repro.records import Digest, Json

LOCK_FORMAT = 1

_SOURCE = "source"
_NO_BINARY = "--no-binary "
_HEADER = re.compile(r"# (?P<key>[a-z-]+): (?P<value>.+)")
_HASH = re.compile(r"--hash=(?P<digest>sha256:[0-9a-f]{64})")
_BEFORE_HASH = re.compile(r"\s+(?=--hash=)")
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)\s*(?:;(?P<marker>.*))?")


class NewerLockError(EnvironmentSpecError):
    """A lock of a format that this version does not know."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LockedPackage:
    """One requirement of a lock.

    Attributes:
        marker: Environment marker (PEP 508) under which it applies, or ``None``.
        digests: SHA-256 of every file that may be installed for it.
        source: A node builds it from its source archive.
    """

    name: str
    version: str
    marker: str | None
    digests: tuple[Digest, ...]
    source: bool = False

    @property
    def content(self) -> tuple[Json, ...]:
        """What tells it from another: a build is not what was packed elsewhere."""
        built = (_SOURCE,) if self.source else ()
        return (*map(str, self.digests), *built)

    @property
    def pin(self) -> str:
        """The requirement without its digests."""
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")

    def applies(self, environment: Mapping[str, str]) -> bool:
        """Tell whether the marker holds in a marker environment."""
        return self.marker is None or Marker(self.marker).evaluate(dict(environment))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PypiLock:
    """A lock file.

    Attributes:
        spec: Digest of the spec it was made from.
        python: Interpreters it is good for, as version specifiers.
        environments: Marker of the environments that it is good for; ``None`` for all.
    """

    spec: Digest
    python: str
    packages: tuple[LockedPackage, ...]
    environments: str | None = None

    def admits(self, python: str) -> bool:
        """Tell whether it is good for an interpreter of this version."""
        return SpecifierSet(self.python).contains(python, prereleases=True)

    def to_text(self) -> str:
        """Return the lock file's text."""
        lines = [
            f"# repro-lock: {LOCK_FORMAT}",
            f"# spec: {self.spec}",
            f"# python: {self.python}",
            *([f"# environments: {self.environments}"] if self.environments else []),
            *sorted({f"{_NO_BINARY}{package.name}" for package in self.packages if package.source}),
        ]
        for package in self.packages:
            hashes = [f"    --hash={digest}" for digest in package.digests]
            lines.append(" \\\n".join([package.pin, *hashes]))
        return "\n".join(lines) + "\n"


def applicable(
    lock: PypiLock, environment: Mapping[str, str], *, name: str
) -> tuple[LockedPackage, ...]:
    """Return the packages whose markers hold in a marker environment, sorted by name.

    Raises:
        EnvironmentSpecError: A marker cannot be decided, two versions of a package apply, or the
            lock is for other environments.
    """
    if lock.environments and not Marker(lock.environments).evaluate(dict(environment)):
        raise _unusable(name, f"it is for {lock.environments}, which does not hold on this node")
    chosen: dict[str, LockedPackage] = {}
    for package in sorted(lock.packages, key=lambda package: package.name):
        try:
            if not package.applies(environment):
                continue
        except (UndefinedComparison, UndefinedEnvironmentName) as exc:
            raise _unusable(
                name, f"the marker {package.marker!r} of {package.name} cannot be decided"
            ) from exc
        if package.name in chosen:
            versions = f"{chosen[package.name].version} and {package.version}"
            raise _unusable(name, f"two versions of {package.name} apply here: {versions}")
        chosen[package.name] = package
    return tuple(chosen.values())


def requirement_lines(packages: Iterable[LockedPackage]) -> str:
    """Return requirements with hashes for exactly these packages, without markers."""
    return "".join(
        " ".join([f"{p.name}=={p.version}", *(f"--hash={d}" for d in p.digests)]) + "\n"
        for p in packages
    )


def parse_lock(text: str, *, name: str) -> PypiLock:
    """Read a lock file.

    Raises:
        EnvironmentSpecError: It is not what ``repro lock`` writes: no header, a line without an
            exact version or without a SHA-256, or a URL.
    """
    head = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    header = {m["key"]: m["value"].strip() for m in map(_HEADER.fullmatch, head) if m}
    written = header.get("repro-lock", "")
    if written.isdecimal() and int(written) > LOCK_FORMAT:
        raise NewerLockError(
            f"the lock {name} has format {written}: expected {LOCK_FORMAT}",
            hint="A newer snakemake-executor-plugin-ray made it; install that one.",
        )
    if written != str(LOCK_FORMAT) or not {"spec", "python"} <= set(header):
        raise _unusable(name, f"expected the header of format {LOCK_FORMAT}")
    try:
        SpecifierSet(header["python"])
        spec = Digest.parse(header["spec"])
        environments = header.get("environments")
        if environments is not None:
            Marker(environments)
    except (InvalidSpecifier, InvalidMarker, RecordError) as exc:
        raise _unusable(name, f"its header is damaged ({exc})") from exc
    return PypiLock(
        spec=spec,
        python=header["python"],
        packages=_packages(text, name),
        environments=environments,
    )


def parse_compiled(text: str, *, name: str) -> tuple[LockedPackage, ...]:
    """Read hash-checked requirements as uv and pip-compile write them, sorted.

    Raises:
        EnvironmentSpecError: One of them is anything else than a version with digests.
    """
    found = _packages(text, name)
    return tuple(sorted(found, key=lambda p: (p.name, p.version, p.marker or "")))


def moved(
    old: Sequence[LockedPackage], new: Sequence[LockedPackage]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Return what changed between two locks: name, old version, new version."""

    def versions(packages: Sequence[LockedPackage]) -> dict[str, str]:
        found: dict[str, list[str]] = {}
        for package in packages:
            found.setdefault(package.name, []).append(package.version)
        return {name: ", ".join(sorted(set(values))) for name, values in found.items()}

    before, after = versions(old), versions(new)
    names = sorted(before.keys() | after.keys())
    return tuple(
        (name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def built_from_source(
    packages: Iterable[LockedPackage], sources: Sequence[str]
) -> tuple[LockedPackage, ...]:
    """Return packages of which those with these names are built on a node."""
    return tuple(dataclasses.replace(p, source=p.name in sources) for p in packages)


def _packages(text: str, name: str) -> tuple[LockedPackage, ...]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    entries = [line.strip() for line in joined.splitlines() if line.strip()]
    options = [line for line in entries if line.startswith(_NO_BINARY)]
    sources = [canonicalize_name(line.removeprefix(_NO_BINARY).strip()) for line in options]
    found = [_package(line, name) for line in entries if line not in options]
    return built_from_source(found, sources)


def _package(line: str, name: str) -> LockedPackage:
    head, *options = _BEFORE_HASH.split(line)
    match = _PINNED.fullmatch(head)
    if match is None:
        raise _unusable(name, f"expected `name==version`, got {head!r}")
    what, marker = match["name"], (match["marker"] or "").strip() or None
    try:
        Version(match["version"])
        if marker is not None:
            Marker(marker)
    except InvalidVersion as exc:
        raise _unusable(name, f"{what} has no exact version: {match['version']!r}") from exc
    except InvalidMarker as exc:
        raise _unusable(name, f"{what} has the marker {marker!r}") from exc
    if not options:
        raise _unusable(name, f"{what} has no --hash=sha256:…")
    digests = []
    for option in options:
        found = _HASH.fullmatch(option)
        if found is None:
            raise _unusable(name, f"{what} has {option!r}: expected --hash=sha256:<64 hex>")
        digests.append(Digest.parse(found["digest"]))
    return LockedPackage(
        name=canonicalize_name(what),
        version=match["version"],
        marker=marker,
        digests=tuple(sorted(digests)),
    )


def _unusable(name: str, why: str) -> EnvironmentSpecError:
    return EnvironmentSpecError(
        f"the lock {name} cannot be used: {why}", hint="`repro lock` makes it anew."
    )
