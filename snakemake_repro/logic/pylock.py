"""``pylock.toml`` (PEP 751), the lock that package tools have in common, as a lock of ours.

Its URLs are passed over: what it holds is versions and digests, which any index or mirror serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from snakemake_repro.errors import EnvironmentSpecError, RecordError
from snakemake_repro.logic.pypi_spec import PypiSpec
from snakemake_repro.logic.requirements import LockedPackage, PypiLock
from snakemake_repro.records import Digest

LOCK_VERSION = "1"

_HASH = "sha256"
_ELSEWHERE = ("vcs", "directory", "archive")
_CHOICE = re.compile(
    r"""(['"])(?P<what>[^'"]*)\1\s+(?P<no>not\s+)?in\s+(?P<of>extras|dependency_groups)\b"""
)
_HOLDS, _FAILS = 'python_version >= "0"', 'python_version < "0"'


def parse_pylock(data: Mapping[str, Any], spec: PypiSpec, *, name: str) -> PypiLock:
    """Read a lock of another tool for an environment file.

    What it locks for extras and for groups that are not installed by default does not count.

    Args:
        data: The parsed TOML.
        spec: What the environment file asks for.
        name: How to call the lock in messages.

    Raises:
        EnvironmentSpecError: It is none, it has a version that is not known here, or it holds a
            package without an exact version, without the files it is installed from, or without
            their SHA-256.
    """
    written = data.get("lock-version")
    if not isinstance(written, str) or written.partition(".")[0] != LOCK_VERSION:
        raise _unusable(name, f"it has lock-version {written!r}: expected {LOCK_VERSION}.x")
    packages = data.get("packages")
    if not isinstance(packages, list) or not all(isinstance(one, dict) for one in packages):
        raise _unusable(name, "it has no list `packages`")
    groups = _texts(data, "default-groups", name)
    environments = [_marker(one, (), name, "it") for one in _texts(data, "environments", name)]
    found = [_package(one, groups, spec.sources, name) for one in packages]
    return PypiLock(
        spec=spec.digest,
        python=_python(data.get("requires-python"), spec.python, name),
        packages=tuple(sorted(found, key=lambda p: (p.name, p.version, p.marker or ""))),
        environments=" or ".join(f"({one})" for one in sorted(environments)) or None,
    )


def unmet(spec: PypiSpec, lock: PypiLock) -> str | None:
    """Return a requirement of an environment file that a lock of another tool does not meet.

    Such a lock does not say what it was made from. A requirement with a marker may be missing:
    the lock need not be for where it holds.
    """
    versions: dict[str, list[str]] = {}
    for package in lock.packages:
        versions.setdefault(package.name, []).append(package.version)
    for line in spec.requirements:
        wanted = Requirement(line)
        found = versions.get(canonicalize_name(wanted.name), [])
        fits = any(wanted.specifier.contains(one, prereleases=True) for one in found)
        if not fits and (found or wanted.marker is None):
            return line
    return None


def _package(
    data: Mapping[str, Any], groups: Sequence[str], sources: Sequence[str], name: str
) -> LockedPackage:
    what, version, marker = data.get("name"), data.get("version"), data.get("marker")
    if not isinstance(what, str):
        raise _unusable(name, "it has a package without a name")
    for source in _ELSEWHERE:
        if source in data:
            raise _unusable(name, f"{what} is given by `{source}`, not by a package index")
    try:
        Version(str(version))
    except InvalidVersion as exc:
        raise _unusable(name, f"{what} has no exact version: {version!r}") from exc
    built = canonicalize_name(what) in sources
    files = data.get("sdist" if built else "wheels")
    if not files:
        raise _unusable(name, f"{what} has no {'source archive' if built else 'wheel'}")
    return LockedPackage(
        name=canonicalize_name(what),
        version=str(version),
        marker=None if marker is None else _marker(marker, groups, name, what),
        digests=tuple(sorted(_digests(files, what, name))),
        source=built,
    )


def _digests(files: Any, what: str, name: str) -> Iterator[Digest]:
    for file in files if isinstance(files, list) else [files]:
        hashes = file.get("hashes") if isinstance(file, dict) else None
        value = hashes.get(_HASH) if isinstance(hashes, dict) else None
        if value is None:
            raise _unusable(name, f"{what} has a file without a {_HASH}")
        try:
            yield Digest.parse(f"{_HASH}:{value}")
        except RecordError as exc:
            raise _unusable(name, f"{what} has the {_HASH} {value!r}") from exc


def _marker(text: Any, groups: Sequence[str], name: str, what: str) -> str:
    """Return a marker in which nothing is left to choose: no extra, and the default groups."""

    def decided(match: re.Match[str]) -> str:
        chosen = match["of"] == "dependency_groups" and match["what"] in groups
        return _HOLDS if chosen != bool(match["no"]) else _FAILS

    found = _CHOICE.sub(decided, text) if isinstance(text, str) else ""
    try:
        return str(Marker(found))
    except InvalidMarker as exc:
        raise _unusable(name, f"{what} has the marker {text!r}") from exc


def _python(written: Any, asked: str, name: str) -> str:
    try:
        both = SpecifierSet(asked) & SpecifierSet(written or "")
    except (InvalidSpecifier, TypeError, AttributeError) as exc:
        raise _unusable(name, f"it has requires-python {written!r}") from exc
    return ",".join(sorted(map(str, both)))


def _texts(data: Mapping[str, Any], key: str, name: str) -> list[str]:
    found = data.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise _unusable(name, f"its {key} is no list of texts")
    return found


def _unusable(name: str, why: str) -> EnvironmentSpecError:
    return EnvironmentSpecError(
        f"the lock {name} cannot be used: {why}",
        hint="Make it anew with the tool that made it, or remove it: `repro lock` makes another.",
    )
