"""What is installed in an environment, compared with its lock and with the wheels' own records."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.version import InvalidVersion, Version

from snakemake_repro.backends.environments.distributions import distributions
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.logic.requirements import LockedPackage

_NOTHING = "nothing"
_ALGORITHMS = ("sha256=", "sha384=", "sha512=")
"""That a RECORD may use; weaker ones are forbidden there (PEP 376, PEP 427)."""


def check_installed(site: Path, name: str, packages: Iterable[LockedPackage]) -> None:
    """Make sure that exactly these packages are installed, with the files they came with.

    Compiled files that a package brings are removed where they differ: uv compiles them anew for
    this Python, and nothing tells that they are of the sources, which are compared.

    The index's file was checked against the lock when it was downloaded. That was perhaps long
    ago: what uv unpacked then lies in its cache, where anything may have changed it.

    Args:
        site: The environment's site-packages.
        name: Of the environment, for messages.
        packages: What the lock names for it.

    Raises:
        EnvironmentBuildError: Something is missing, superfluous or not what was packed.
    """
    found = list(distributions([str(site)]))
    here = {package: _version(version) for package, version, _ in found}
    wanted = {str(package.name): _version(package.version) for package in packages}
    if here != wanted:
        wrong = [
            f"{one}: expected {wanted.get(one, _NOTHING)}, got {here.get(one, _NOTHING)}"
            for one in sorted(here.keys() | wanted.keys())
            if here.get(one) != wanted.get(one)
        ]
        raise EnvironmentBuildError(
            "\n  ".join([f"the environment {name} is not what its lock says:", *wrong]),
            hint="`repro lock` makes the lock anew.",
        )
    records = {package: one.read_text("RECORD") or "" for package, _, one in found}
    for package, path in _changed(site, records):
        if path.endswith(".pyc") and Path(path).parent.name == "__pycache__":
            (site / path).unlink(missing_ok=True)
            continue
        raise EnvironmentBuildError(
            f"the environment {name} cannot be trusted: {path} is not as {package} was packed",
            hint=f"Something changed uv's cache on this node; `uv cache clean {package}` mends it.",
        )


def _version(text: str) -> Version | str:
    """Return a version such that 2024.07 is 2024.7; what is none is compared as text."""
    try:
        return Version(text)
    except InvalidVersion:
        return text


def _changed(site: Path, records: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield package and path of files that differ from every record of them.

    Two packages may bring the same path (a careless ``tests/__init__.py``); one of them wins.
    """
    expected: dict[str, dict[str, str]] = {}
    for package, record in records.items():
        if not record:
            yield package, "RECORD"
        for row in csv.reader(record.splitlines()):
            # the record itself and compiled files have no digest
            if len(row) > 1 and row[1].startswith(_ALGORITHMS):
                expected.setdefault(row[0], {})[row[1]] = package
    for path, digests in expected.items():
        algorithms = {digest.partition("=")[0] for digest in digests}
        if digests.keys().isdisjoint(_digest(site / path, algorithm) for algorithm in algorithms):
            yield next(iter(digests.values())), path


def _digest(path: Path, algorithm: str) -> str | None:
    """Return a file's digest as RECORD files have it; ``None`` for a missing file."""
    try:
        with path.open("rb") as file:
            value = hashlib.file_digest(file, algorithm).digest()
    except FileNotFoundError:
        return None
    return f"{algorithm}={base64.urlsafe_b64encode(value).rstrip(b'=').decode()}"
