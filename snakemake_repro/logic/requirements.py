"""Environment files and their locks: what is asked for, and the exact files that satisfy it.

The environment file is Snakemake's own (conda) format, limited here to what a Python package
index can give: ``python``, ``pip`` and one ``pip:`` list. The lock is a requirements file in pip's
hash-checking mode: versions and SHA-256 digests, no URL, so that any index or mirror can serve it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.records import Digest, Json

LOCK_FORMAT = 1
SPEC_TAG = "PypiSpec/1"
DEFAULT_PYTHON = ">=3.11,<3.14"

_CONDA_NAMES = ("python", "pip")
_CONDA_SPEC = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)\s*(?P<spec>[<>=!~*].*|\d.*)?")
_HEADER = re.compile(r"# (?P<key>[a-z-]+): (?P<value>.+)")
_HASH = re.compile(r"--hash=(?P<digest>\S+)")
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)\s*(?:;(?P<marker>.*))?")
_LATER = "conda packages and containers come in a later version"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PypiSpec:
    """What an environment file asks for.

    Attributes:
        python: Version specifiers of the interpreter.
        requirements: Requirement lines as written, sorted.
    """

    python: str
    requirements: tuple[str, ...]

    @property
    def digest(self) -> Digest:
        """Identity of the request; comments and order do not count."""
        return digest_of(SPEC_TAG, [self.python, list(self.requirements)])


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LockedPackage:
    """One line of a lock.

    Attributes:
        marker: Environment marker (PEP 508) under which it applies, or ``None``.
        digests: SHA-256 of every file that may be installed for it.
    """

    name: str
    version: str
    marker: str | None
    digests: tuple[Digest, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PypiLock:
    """A lock file.

    Attributes:
        spec: Digest of the spec it was made from.
        python: Interpreters it is good for.
    """

    spec: Digest
    python: str
    packages: tuple[LockedPackage, ...]

    def applicable(self, environment: Mapping[str, str]) -> tuple[LockedPackage, ...]:
        """Return the packages whose markers hold in a marker environment, sorted by name."""
        chosen = [
            package
            for package in self.packages
            if package.marker is None or Marker(package.marker).evaluate(dict(environment))
        ]
        return tuple(sorted(chosen, key=lambda package: package.name))

    def to_text(self) -> str:
        """Return the lock file's text."""
        lines = [
            f"# repro-lock: {LOCK_FORMAT}",
            f"# spec: {self.spec}",
            f"# python: {self.python}",
        ]
        for package in self.packages:
            marker = f" ; {package.marker}" if package.marker else ""
            hashes = [f"    --hash={digest}" for digest in package.digests]
            lines.append(" \\\n".join([f"{package.name}=={package.version}{marker}", *hashes]))
        return "\n".join(lines) + "\n"


def requirement_lines(packages: Iterable[LockedPackage]) -> str:
    """Return requirements with hashes for exactly these packages, without markers."""
    return "".join(
        " ".join([f"{p.name}=={p.version}", *(f"--hash={d}" for d in p.digests)]) + "\n"
        for p in packages
    )


def parse_spec(data: Json, *, name: str) -> PypiSpec:
    """Read an environment file's content.

    Args:
        data: The parsed YAML.
        name: How to call the file in messages.

    Raises:
        EnvironmentSpecError: It is no environment file, or asks for conda packages.
    """
    dependencies = data.get("dependencies") if isinstance(data, dict) else None
    if not isinstance(dependencies, list):
        raise EnvironmentSpecError(
            f"{name} is no environment file: expected a `dependencies:` list",
            hint="docs/how-to/pypi-environments.md shows one.",
        )
    python, pip, conda = DEFAULT_PYTHON, [], []
    for entry in dependencies:
        if isinstance(entry, dict) and set(entry) == {"pip"} and isinstance(entry["pip"], list):
            pip += [str(line).strip() for line in entry["pip"]]
            continue
        match = _CONDA_SPEC.fullmatch(str(entry).strip()) if isinstance(entry, str) else None
        if match is None or match["name"].lower() not in _CONDA_NAMES:
            conda.append(str(entry))
        elif match["name"].lower() == "python" and match["spec"]:
            python = _python(match["spec"], name)
    if conda:
        raise EnvironmentSpecError(
            f"{name} asks for conda packages ({', '.join(conda)}); this version realises "
            f"environments from a Python package index only, {_LATER}",
            hint="List Python packages under `pip:`, or use `--ray-environments host`.",
        )
    return PypiSpec(python=python, requirements=tuple(sorted(_checked(pip, name))))


def parse_lock(text: str, *, name: str) -> PypiLock:
    """Read a lock file.

    Raises:
        EnvironmentSpecError: It is not what ``repro lock`` writes: no header, a line without an
            exact version or without a SHA-256, or a URL.
    """
    header = {m["key"]: m["value"].strip() for m in map(_HEADER.fullmatch, text.splitlines()) if m}
    if header.get("repro-lock") != str(LOCK_FORMAT) or not {"spec", "python"} <= set(header):
        raise _unusable(name, f"expected the header of format {LOCK_FORMAT}")
    return PypiLock(
        spec=Digest.parse(header["spec"]),
        python=header["python"],
        packages=tuple(_packages(text, name)),
    )


def parse_compiled(text: str, *, name: str) -> tuple[LockedPackage, ...]:
    """Read what ``uv pip compile --generate-hashes`` prints.

    Raises:
        EnvironmentSpecError: A requirement was resolved to something else than files of an index.
    """
    packages = _packages(text, name)
    return tuple(sorted(packages, key=lambda p: (p.name, p.version, p.marker or "")))


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


def _packages(text: str, name: str) -> list[LockedPackage]:
    """Read the requirement lines of a lock, which may be continued with a backslash."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [_package(line, name) for line in joined.splitlines() if line.strip()]


def _package(line: str, name: str) -> LockedPackage:
    head, _, tail = line.partition("--hash=")
    match = _PINNED.fullmatch(head.strip())
    if match is None:
        raise _unusable(name, f"expected `name==version`, got {head.strip()!r}")
    found = [m["digest"] for m in _HASH.finditer(f"--hash={tail}")] if tail else []
    if not found:
        raise _unusable(name, f"{match['name']} has no --hash=sha256:…")
    marker = (match["marker"] or "").strip() or None
    try:
        if marker is not None:
            Marker(marker)
    except InvalidMarker as exc:
        raise _unusable(name, f"{match['name']} has the marker {marker!r}") from exc
    return LockedPackage(
        name=canonicalize_name(match["name"]),
        version=match["version"],
        marker=marker,
        digests=tuple(sorted(Digest.parse(digest) for digest in found)),
    )


def _unusable(name: str, why: str) -> EnvironmentSpecError:
    return EnvironmentSpecError(
        f"the lock {name} cannot be used: {why}", hint="`repro lock` makes it anew."
    )


def _python(spec: str, name: str) -> str:
    """Return conda's version constraint of the interpreter as specifiers."""
    text = spec.replace(" ", "")
    if text[0].isdigit():
        text = f"={text}"
    if text.startswith("=") and not text.startswith("=="):
        text = f"=={text[1:].removesuffix('.*')}.*"
    try:
        return str(SpecifierSet(text))
    except InvalidSpecifier as exc:
        raise EnvironmentSpecError(
            f"{name} asks for python {spec!r}, which is no version constraint",
            hint=f"Write `python {DEFAULT_PYTHON}`.",
        ) from exc


def _checked(lines: Iterable[str], name: str) -> Iterable[str]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as exc:
            raise EnvironmentSpecError(
                f"{name} has the pip requirement {line!r}: expected a package and versions",
                hint="Options, paths and other files (-r, -e) cannot be locked.",
            ) from exc
        if requirement.url is not None:
            raise EnvironmentSpecError(
                f"{name} has the pip requirement {line!r}: URLs cannot be locked",
                hint="Name a version from a package index.",
            )
        yield line
