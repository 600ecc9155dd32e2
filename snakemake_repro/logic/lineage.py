"""The lineage graph: file -> job -> file, across runs.

A file is a path *and* its bytes. The maker of an input is the job that wrote those very bytes to
that path before they were read; a path whose bytes no recorded job wrote has no maker, even when
some job once wrote other bytes there.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from snakemake_repro.records import Digest, FileKind, FileRecord, JobState, JobStatus, Origin

_T = TypeVar("_T")

MAX_DEPTH = 100
"""Jobs in a row that a tree shows at most; deeper ones are cut and said to be cut."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One attempt as the lineage graph knows it.

    Attributes:
        id: Attempt id.
        at: When the record of the attempt was written, UTC.
        started: ``None`` for jobs that Snakemake ran or found up to date itself.
        environment: Identity of the environment as executed.
        environment_name: As the workflow calls it.
        pinned: Whether another machine can resolve the environment to the same bytes.
        commit: Of the workflow's main source; ``None`` outside of version control.
        dirty: The work tree differed from that commit.
    """

    id: str
    run_id: str
    rule: str
    wildcards: Mapping[str, str]
    origin: Origin
    status: JobStatus
    state: JobState
    at: str
    started: str | None = None
    finished: str | None = None
    environment: Digest | None = None
    environment_name: str | None = None
    pinned: bool | None = None
    commit: str | None = None
    dirty: bool | None = None

    @property
    def label(self) -> str:
        """Rule and wildcards, for people to read."""
        return " ".join((self.rule, *(f"{k}={v}" for k, v in self.wildcards.items())))

    @property
    def stands(self) -> bool:
        """The attempt succeeded and Snakemake did not refuse its outputs."""
        refused = self.state in (JobState.REJECTED, JobState.INTERRUPTED)
        return self.status is JobStatus.SUCCEEDED and not refused


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """A file as one attempt wrote it or read it."""

    step: Step
    file: FileRecord


class FileGraph(Protocol):
    """What a trace asks of the record."""

    def makers(self, path: str, digest: Digest | None = None) -> Sequence[Sighting]:
        """Return every attempt with that output, with these bytes if given, newest first."""
        ...

    def readers(self, path: str) -> Sequence[Sighting]:
        """Return every attempt with that input, newest first."""
        ...

    def inputs(self, step_id: str) -> Sequence[FileRecord]:
        """Return the inputs of an attempt."""
        ...

    def outputs(self, step_id: str) -> Sequence[FileRecord]:
        """Return the outputs of an attempt, as they are after acceptance."""
        ...


class Cut(enum.Enum):
    """Why a tree does not go on although the record does."""

    REPEATED = "repeated"
    """The job is shown with its files elsewhere in the same tree."""
    DEPTH = "depth"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class More:
    """Files or jobs of one kind that a tree leaves out for brevity.

    Attributes:
        rule: The rule that made or read them; ``None`` for files that no job made.
    """

    rule: str | None
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FileNode:
    """A file in a lineage tree.

    Attributes:
        jobs: Upstream at most one, the maker; downstream every job that read the file.
        altered: Jobs of the record wrote to this path, but none wrote these bytes.
        more: Jobs that are left out.
    """

    path: str
    digest: Digest | None
    size: int | None = None
    jobs: tuple[JobNode, ...] = ()
    altered: bool = False
    more: tuple[More, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobNode:
    """A job in a lineage tree.

    Attributes:
        files: Upstream its inputs, downstream its outputs.
        cut: Why ``files`` is empty although the job has some; ``None`` where it is complete.
        more: Files that are left out.
    """

    step: Step
    files: tuple[FileNode, ...] = ()
    cut: Cut | None = None
    more: tuple[More, ...] = ()


def maker(
    sightings: Sequence[Sighting], digest: Digest | None, before: str | None = None
) -> Sighting | None:
    """Return who wrote these bytes: the newest attempt that did, before a moment if given.

    A job that was found up to date counts only where the one that really wrote them is not in
    the record.

    Args:
        sightings: Of one path, newest first.
        digest: The bytes; ``None`` accepts any.
        before: When they were read, UTC. Clocks of nodes differ: a maker that seems to be later
            is taken where there is no earlier one.
    """
    fitting = [
        seen
        for seen in sightings
        if seen.step.stands
        and seen.file.kind is not FileKind.MISSING
        and (digest is None or seen.file.digest == digest)
    ]
    written = [seen for seen in fitting if seen.step.origin is not Origin.REUSED] or fitting
    earlier = [seen for seen in written if before is None or seen.step.at <= before]
    return next(iter(earlier or written), None)


def maker_of(
    graph: FileGraph, path: str, digest: Digest | None, before: str | None = None
) -> Sighting | None:
    """Return who wrote these bytes to a path; arguments as in ``maker``."""
    return maker(graph.makers(path, digest), digest, before)


def upstream(
    graph: FileGraph,
    path: str,
    digest: Digest | None,
    *,
    depth: int = MAX_DEPTH,
    width: int | None = None,
) -> FileNode:
    """Return where a file came from, as a tree.

    Args:
        graph: The record.
        path: As recorded.
        digest: Its bytes; ``None`` for those written last.
        depth: Jobs in a row at most.
        width: Inputs made by one rule that are shown at most of one job; ``None`` for all.
    """
    return _Upstream(graph, min(depth, MAX_DEPTH), width).file(path, digest, None, None, 0)


def downstream(
    graph: FileGraph,
    path: str,
    digest: Digest | None,
    *,
    depth: int = MAX_DEPTH,
    width: int | None = None,
) -> FileNode:
    """Return what was made of a file, as a tree; arguments as in ``upstream``."""
    return _Downstream(graph, min(depth, MAX_DEPTH), width).file(path, digest, None, 0)


class _Upstream:
    def __init__(self, graph: FileGraph, depth: int, width: int | None) -> None:
        self._graph = graph
        self._depth = depth
        self._width = width
        self._shown: set[str] = set()
        self._makers: dict[tuple[str, Digest | None, str | None], Sighting | None] = {}

    def file(
        self,
        path: str,
        digest: Digest | None,
        size: int | None,
        before: str | None,
        level: int,
    ) -> FileNode:
        made = self._maker(path, digest, before)
        if made is None:
            altered = digest is not None and any(s.step.stands for s in self._graph.makers(path))
            return FileNode(path=path, digest=digest, size=size, altered=altered)
        return FileNode(
            path=path,
            digest=made.file.digest,
            size=made.file.size,
            jobs=(self._job(made.step, level),),
        )

    def _job(self, step: Step, level: int) -> JobNode:
        if step.id in self._shown:
            return JobNode(step=step, cut=Cut.REPEATED)
        if level >= self._depth:
            return JobNode(step=step, cut=Cut.DEPTH)
        self._shown.add(step.id)
        before = step.started or step.at
        files = sorted(self._graph.inputs(step.id), key=lambda file: file.path)
        chosen, more = _narrow(files, self._width, lambda file: self._rule(file, before))
        nodes = (self.file(f.path, f.digest, f.size, before, level + 1) for f in chosen)
        return JobNode(step=step, files=tuple(nodes), more=more)

    def _rule(self, file: FileRecord, before: str) -> str | None:
        made = self._maker(file.path, file.digest, before)
        return None if made is None else made.step.rule

    def _maker(self, path: str, digest: Digest | None, before: str | None) -> Sighting | None:
        asked = (path, digest, before)
        if asked not in self._makers:
            self._makers[asked] = maker_of(self._graph, path, digest, before)
        return self._makers[asked]


class _Downstream:
    def __init__(self, graph: FileGraph, depth: int, width: int | None) -> None:
        self._graph = graph
        self._depth = depth
        self._width = width
        self._shown: set[str] = set()

    def file(self, path: str, digest: Digest | None, size: int | None, level: int) -> FileNode:
        steps = [
            seen.step
            for seen in reversed(self._graph.readers(path))
            if seen.step.stands
            and seen.step.origin is not Origin.REUSED
            and (digest is None or seen.file.digest == digest)
        ]
        chosen, more = _narrow(steps, self._width, lambda step: step.rule)
        nodes = (self._job(step, level) for step in chosen)
        return FileNode(path=path, digest=digest, size=size, jobs=tuple(nodes), more=more)

    def _job(self, step: Step, level: int) -> JobNode:
        if step.id in self._shown:
            return JobNode(step=step, cut=Cut.REPEATED)
        if level >= self._depth:
            return JobNode(step=step, cut=Cut.DEPTH)
        self._shown.add(step.id)
        files = sorted(self._graph.outputs(step.id), key=lambda file: file.path)
        chosen, more = _narrow(files, self._width, lambda _: step.rule)
        nodes = (self.file(f.path, f.digest, f.size, level + 1) for f in chosen)
        return JobNode(step=step, files=tuple(nodes), more=more)


def _narrow(
    items: Iterable[_T], width: int | None, rule: Callable[[_T], str | None]
) -> tuple[list[_T], tuple[More, ...]]:
    """Keep the first ``width`` items of each rule, and count the rest."""
    items = list(items)
    if width is None or len(items) <= width:
        return items, ()
    seen: Counter[str | None] = Counter()
    kept = []
    for item in items:
        name = rule(item)
        seen[name] += 1
        if seen[name] <= width:
            kept.append(item)
    more = (More(rule=name, count=n - width) for name, n in seen.items() if n > width)
    return kept, tuple(more)
