"""Locking what pip installs, for every platform and Python at once."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from snakemake_repro.backends.environments.indexes import indexes
from snakemake_repro.backends.environments.lockfile import lock_path
from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.pypi_spec import PypiSpec
from snakemake_repro.logic.requirements import (
    LockedPackage,
    NewerLockError,
    PypiLock,
    built_from_source,
    moved,
    parse_compiled,
    parse_lock,
)
from snakemake_repro.operations.locker import Made, choices, omissions


class PypiLocker:
    """Makes ``x.requirements.lock``."""

    def __init__(self, upgrade: bool, packages: Sequence[str]) -> None:  # noqa: FBT001 - one flag
        self._upgrade = upgrade
        self._packages = tuple(packages)

    def fits(self, content: bytes, spec: PypiSpec, *, name: str) -> bool:
        """Tell whether a lock was made from a spec.

        Raises:
            EnvironmentSpecError: It cannot be used.
        """
        return parse_lock(_text(content), name=name).spec == spec.digest

    def names(self, content: bytes | None, *, name: str) -> Iterator[str]:
        """Yield the packages of a lock."""
        yield from (package.name for package in _known(content, name)[1])

    def lock(self, wanted: Sequence[tuple[Path, PypiSpec, bytes | None]]) -> Iterator[Made | None]:
        """Yield the new lock of each environment file, ``None`` where it stays as it is.

        Args:
            wanted: Environment files, what they ask for, and what stands in their locks' place.

        Raises:
            EnvironmentSpecError: A package that is to be built is none of what is asked for.
            EnvironmentBuildError: There is no solution, or the package index cannot be reached.
        """
        for source, spec, content in wanted:
            yield self._made(source, spec, content)

    def _made(self, source: Path, spec: PypiSpec, content: bytes | None) -> Made | None:
        old, pins = _known(content, str(lock_path(source)))
        moves = self._upgrade or self._packages
        if old is not None and old.spec == spec.digest and not moves:
            return None
        found = self._compile(spec, pins, name=str(source))
        new = PypiLock(spec=spec.digest, python=spec.python, packages=found)
        if old == new:
            return None
        return Made(text=new.to_text(), moved=moved(pins, found), anew=old is None)

    def _compile(
        self, spec: PypiSpec, pins: Sequence[LockedPackage], *, name: str
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
                *(option for built in spec.sources for option in ("--no-binary", built)),
                *sources.arguments,
                *omissions(spec.requirements, wanted.parent),
                *(["--upgrade"] if self._upgrade else []),
            ]
            for package in self._packages:
                arguments += ["--upgrade-package", package]
            run_uv(
                arguments,
                what=f"{name} cannot be locked",
                variables={**choices(), **sources.variables},
            )
            text = result.read_text(encoding="utf-8")
        found = parse_compiled(text, name=lock_path(Path(name)).name)
        if idle := sorted(set(spec.sources) - {package.name for package in found}):
            raise EnvironmentSpecError(
                f"{name} has `--no-binary {','.join(idle)}`, and nothing it asks for needs that",
                hint="Is the name right? Else take the line out.",
            )
        return built_from_source(found, spec.sources)


def _known(content: bytes | None, name: str) -> tuple[PypiLock | None, tuple[LockedPackage, ...]]:
    """Return the lock that is there, if it can be used, and the versions it names.

    A requirements file without our header, as uv and pip-compile write them, gives its versions;
    what cannot be read at all is made anew.

    Raises:
        NewerLockError: A newer version of this package made it.
    """
    if content is None:
        return None, ()
    text = _text(content)
    try:
        lock = parse_lock(text, name=name)
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


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace").replace("\r\n", "\n")
