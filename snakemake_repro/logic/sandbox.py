"""What a hermetic job sees: planned from paths alone, staged elsewhere.

A job sees its system files and its environment where they are, and *zones*: directories that stand
in for the real ones at the same absolute paths. A zone of inputs holds the declared ones and
nothing else, read-only; a zone of outputs is empty and writable, one for each directory that gets
a declared file; a temporary zone is empty, writable and thrown away.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Sequence
from posixpath import dirname, normpath

from snakemake_repro.errors import IsolationError


class ZoneKind(enum.Enum):
    """What a zone is for."""

    INPUTS = "inputs"
    OUTPUTS = "outputs"
    TEMPORARY = "temporary"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Zone:
    """A directory that the job sees in the place of the real one.

    Attributes:
        target: Its absolute path.
    """

    target: str
    kind: ZoneKind


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """Something of the node that the job sees at a path.

    Attributes:
        source: Absolute path on the node.
        target: Absolute path for the job.
    """

    source: str
    target: str
    writable: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sandbox:
    """The plan for one job; all paths are absolute and normal.

    Attributes:
        zones: Outer ones before those inside them.
        inputs: Files and directories to be read, unless the job sees them anyway.
        outputs: What is kept of a job that succeeds.
        logs: What is kept of any job.
        readable: Directories of the environment, which the job sees as they are.
        ways: Directories that have to be there, for a path leads through them and out again.
        shadow: The job writes where it likes in its directory; what is not declared is forgotten.
    """

    workdir: str
    zones: tuple[Zone, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    logs: tuple[str, ...]
    readable: tuple[str, ...]
    ways: tuple[str, ...] = ()
    shadow: bool = False

    def zone_of(self, path: str) -> Zone | None:
        """Return the innermost zone that a path lies in, if any; a zone lies in an outer one."""
        inside = [zone for zone in self.zones if lies_in(path, zone.target)]
        return inside[-1] if inside else None

    def declares(self, path: str) -> bool:
        """Tell whether the job may write a path."""
        return any(path == file or lies_in(path, file) for file in (*self.outputs, *self.logs))


def plan(
    *,
    rule: str,
    workdir: str,
    inputs: Iterable[str],
    outputs: Sequence[str],
    logs: Sequence[str],
    system: Iterable[str],
    environment: Iterable[str],
    temporary: Iterable[str],
    shadow: bool = False,
) -> Sandbox:
    """Decide which directories a job sees, and what of them.

    Args:
        rule: For messages.
        workdir: Of the workflow.
        inputs: The rule's inputs and code, absolute.
        outputs: The rule's outputs; directories among them count as a whole.
        logs: The rule's log files.
        system: Directories of the base system, which are shown in any case.
        environment: Directories of the environment.
        temporary: Directories for temporary files.
        shadow: The rule has a shadow directory, which the working directory's zone is then.

    Raises:
        IsolationError: The rule writes into a directory that is its input as a whole.
    """
    given = tuple(inputs)
    asked = sorted(set(map(normpath, given)))
    kinds = dict.fromkeys(temporary, ZoneKind.TEMPORARY)
    kinds |= dict.fromkeys(map(dirname, (*outputs, *logs)), ZoneKind.OUTPUTS)
    both = [path for path in asked if kinds.get(path) is ZoneKind.OUTPUTS]
    if both:
        raise IsolationError(
            f"rule {rule} cannot run hermetically: the directory {both[0]} is its input, and it "
            "writes files into it",
            hint="Name the files that it reads, or let it write into another directory.",
        )
    kinds.setdefault(workdir, ZoneKind.OUTPUTS if shadow else ZoneKind.INPUTS)
    base = set(system)
    shown = base | {path for path in environment if _innermost(path, base) is None}
    places = {*kinds, *shown}
    left = []
    for path in asked:
        holder = _innermost(path, places)
        if holder in shown and holder not in kinds:
            continue  # it is seen anyway
        left.append(path)
        if not (shadow and kinds.get(holder or "") is ZoneKind.OUTPUTS):
            kinds.setdefault(_zone_for(path, holder, kinds), ZoneKind.INPUTS)
    places |= kinds.keys()
    readable = [
        path
        for path in shown - base - kinds.keys()
        if (holder := _innermost(path, places)) not in shown or holder in kinds
    ]
    kinds.pop("/", None)  # what lies in the root itself is shown there file by file
    return Sandbox(
        workdir=workdir,
        zones=tuple(Zone(target=target, kind=kinds[target]) for target in sorted(kinds, key=depth)),
        inputs=tuple(left),
        outputs=tuple(sorted(set(outputs))),
        logs=tuple(sorted(set(logs))),
        readable=tuple(sorted(readable)),
        ways=tuple(sorted({way for path in given for way in _ways(path)})),
        shadow=shadow,
    )


def lies_in(path: str, directory: str) -> bool:
    """Tell whether a path lies below a directory, by its text."""
    return path.startswith(directory.rstrip("/") + "/") and path != directory


def depth(path: str) -> tuple[int, str]:
    """Order paths so that a directory comes before what lies in it."""
    return path.rstrip("/").count("/"), path


def _ways(path: str) -> Iterator[str]:
    parts = path.split("/")
    return (normpath("/".join(parts[:at])) for at, part in enumerate(parts) if part == "..")


def _zone_for(path: str, holder: str | None, kinds: dict[str, ZoneKind]) -> str:
    """Return the target of the zone that is to hold an input.

    A writable zone holds what lies in it directly; what lies deeper stands in a read-only zone of
    its own, so that it takes one mount however many files there are.
    """
    if holder is None:
        return dirname(path)
    if kinds.get(holder) is ZoneKind.INPUTS or dirname(path) == holder:
        return holder
    below = path[len(holder.rstrip("/")) + 1 :]
    return f"{holder.rstrip('/')}/{below.partition('/')[0]}"


def _innermost(path: str, places: Iterable[str]) -> str | None:
    return max((p for p in parents(path) if p in places), key=depth, default=None)


def parents(path: str) -> Iterator[str]:
    """Yield the directories that an absolute path lies in, the nearest first."""
    while (parent := dirname(path)) != path:
        yield parent
        path = parent
