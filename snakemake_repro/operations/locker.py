"""What locking one kind of environment file takes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from snakemake_repro.logic.pypi_spec import left_out

Moved = tuple[tuple[str, str | None, str | None], ...]
"""Packages whose version changed: name, old version, new version."""

_CHOICES = ("UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_RESOLUTION")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A new text of a lock.

    Attributes:
        anew: What stood in its place, if anything, was no lock that can be used.
    """

    text: str
    moved: Moved
    anew: bool = False


class Locker(Protocol):
    """Makes the locks of one kind of environment file; the specs are those of that kind."""

    def fits(self, content: bytes, spec: Any, *, name: str) -> bool:
        """Tell whether a lock was made from a spec.

        Raises:
            EnvironmentSpecError: It cannot be used.
        """
        ...

    def names(self, content: bytes | None, *, name: str) -> Iterable[str]:
        """Return the packages of a lock."""
        ...

    def lock(self, wanted: Sequence[tuple[Path, Any, bytes | None]]) -> Iterator[Made | None]:
        """Yield the new lock of each environment file, ``None`` where it stays as it is.

        Args:
            wanted: Environment files, what they ask for, and what stands in their locks' place.

        Raises:
            EnvironmentSpecError: What is asked for cannot be read.
            EnvironmentBuildError: There is no solution, or index or channel cannot be reached.
        """
        ...


def choices() -> dict[str, str]:
    """Return which versions the user prefers, told to uv by variables.

    They count when a lock is made; in an installation there is nothing to choose.
    """
    return {name: os.environ[name] for name in _CHOICES if name in os.environ}


def omissions(requirements: Iterable[str], directory: Path) -> list[str]:
    """Return uv's arguments that keep packages out of a lock; they need a file in a directory."""
    lines = list(left_out(requirements))
    if not lines:
        return []
    place = directory / "left-out.in"
    place.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return ["--override", str(place)]
