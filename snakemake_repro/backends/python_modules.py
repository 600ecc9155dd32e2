"""The modules of a project that a Python script imports, found without running it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

from snakemake_repro.errors import StorageError
from snakemake_repro.logic.imports import imported

_PYTHON = ".py"


def project_modules(script: Path, directory: Path) -> dict[str, Path]:
    """Return every file below a directory that a script imports, directly or not.

    Args:
        script: The script, or a copy of it; what is no Python file imports nothing.
        directory: Where its imports are looked for: Snakemake puts the directory of the original
            behind everything else on the search path.

    Returns:
        By path relative to the directory, sorted.

    Raises:
        StorageError: A file is there but cannot be read.
    """
    found: dict[str, Path] = {}
    waiting = [(script, "")] if script.suffix == _PYTHON and script.is_file() else []
    while waiting:
        file, package = waiting.pop()
        for name in _imported(file, file.stat().st_mtime_ns, package):
            for module, inside in _files(directory, name):
                path = module.relative_to(directory).as_posix()
                if path not in found:
                    found[path] = module
                    waiting.append((module, inside))
    return dict(sorted(found.items()))


@functools.lru_cache(maxsize=1_000)
def _imported(file: Path, _mtime_ns: int, package: str) -> frozenset[str]:
    try:
        text = file.read_bytes().decode("utf-8", "replace")
    except OSError as exc:
        raise StorageError(f"cannot read {file}: {exc.strerror}") from exc
    return imported(text, package)


def _files(directory: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Yield the files that importing a dotted name reads, with the package each belongs to."""
    parts = name.split(".")
    if parts[0] in sys.stdlib_module_names:
        return
    for count in range(1, len(parts) + 1):
        place = directory.joinpath(*parts[:count])
        if place.is_dir():
            package = place / "__init__.py"
            if package.is_file():
                yield package, ".".join(parts[:count])
            continue
        module = place.with_name(f"{place.name}{_PYTHON}")
        if module.is_file():
            yield module, ".".join(parts[: count - 1])
        return
