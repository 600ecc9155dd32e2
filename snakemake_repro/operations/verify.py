"""Compare bytes on disk with the record."""

from __future__ import annotations

import dataclasses
import enum
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snakemake_repro.backends.files import observe, recorded_path
from snakemake_repro.backends.index import Index
from snakemake_repro.backends.journal import cache_file
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.lineage import maker_of
from snakemake_repro.logic.outcomes import JobOutcome, outcomes
from snakemake_repro.records import Digest, FileKind, FileRecord

_THREADS = min(8, os.cpu_count() or 1)

Progress = Callable[[int, int], None]
"""Called with bytes compared so far and bytes to compare in all."""


class State(enum.Enum):
    """How a file on disk compares with the record."""

    IDENTICAL = "identical"
    CHANGED = "changed"
    MISSING = "missing"
    REMOVED = "removed by design"
    UNKNOWN = "not in record"
    UNREADABLE = "unreadable"


class Role(enum.Enum):
    """What the record knows a file as."""

    INPUT = "input"
    OUTPUT = "output"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One file, compared.

    Attributes:
        job: Rule and wildcards of the job that made it; ``None`` for inputs.
        note: What else is known, e.g. which other run made the bytes that are there.
    """

    path: str
    state: State
    role: Role | None = None
    expected: Digest | None = None
    found: Digest | None = None
    size: int | None = None
    job: str | None = None
    note: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """All findings, by path.

    Attributes:
        run_id: The run that was verified; ``None`` where files were named.
    """

    run_id: str | None
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[State, int]:
        """How many files there are of each state."""
        counted = Counter(finding.state for finding in self.findings)
        return {state: counted[state] for state in State}

    @property
    def differs(self) -> bool:
        """At least one file is not as recorded."""
        return any(f.state in (State.CHANGED, State.MISSING) for f in self.findings)

    @property
    def undecided(self) -> bool:
        """At least one file could not be compared."""
        return any(f.state in (State.UNKNOWN, State.UNREADABLE) for f in self.findings)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Expected:
    file: FileRecord
    role: Role
    job: str | None = None
    removed: bool = False


def remembered(workdir: Path) -> StatCache:
    """Return the digests that runs in a working directory left there."""
    return StatCache.load(cache_file(workdir))


def verify_run(
    index: Index,
    run_id: str,
    workdir: Path,
    progress: Progress | None = None,
    *,
    cache: StatCache | None = None,
) -> Verification:
    """Compare every input and output of a run with what is on disk.

    Args:
        index: The record.
        run_id: The run.
        workdir: Where the files are; not necessarily where the run was.
        progress: Told how far it has come.
        cache: Digests of files that were read before, which are then believed as long as nothing
            shows that the file was written to.

    Raises:
        NotFoundError: There is no such run.
        RecordError: Its record cannot be read.
    """
    expected = _expected(outcomes(index.load(run_id)))
    findings = _compare(index, expected, workdir, progress, cache)
    return Verification(run_id=run_id, findings=tuple(findings))


def verify_files(
    index: Index,
    names: Sequence[str],
    workdir: Path,
    progress: Progress | None = None,
    *,
    cache: StatCache | None = None,
) -> Verification:
    """Compare files with what the record knows of them last.

    Args:
        index: The record.
        names: Paths; of a directory that is no output itself, every recorded file below it.
        workdir: Paths are relative to it.
        progress: Told how far it has come.
        cache: As of ``verify_run``.
    """
    expected: dict[str, _Expected] = {}
    unknown: dict[str, None] = {}
    for name in names:
        path = recorded_path(workdir / name, workdir)
        known = _last(index, path)
        if known is not None:
            expected[path] = known
            continue
        below = {inner: _last(index, inner) for inner in index.below(path)}
        found = {inner: item for inner, item in below.items() if item is not None}
        expected |= found
        if not found:
            unknown[path] = None
    findings = [
        *_compare(index, expected.values(), workdir, progress, cache),
        *(Finding(path=path, state=State.UNKNOWN) for path in unknown),
    ]
    findings.sort(key=lambda finding: finding.path)
    return Verification(run_id=None, findings=tuple(findings))


def _expected(jobs: Sequence[JobOutcome]) -> list[_Expected]:
    outputs = {
        file.path: _Expected(
            file=file,
            role=Role.OUTPUT,
            job=job.label,
            removed=file.path in job.last.removed,
        )
        for job in jobs
        for file in job.files
    }
    made = outputs.keys() | {file.path for job in jobs for file in job.last.record.spec.outputs}
    inputs = {
        file.path: _Expected(file=file, role=Role.INPUT)
        for job in jobs
        for file in job.last.record.spec.inputs
        if file.path not in made and file.kind is not FileKind.PIPE
    }
    return sorted((*inputs.values(), *outputs.values()), key=lambda item: item.file.path)


def _last(index: Index, path: str) -> _Expected | None:
    made = maker_of(index, path, None)
    if made is not None:
        step = made.step
        removed = path in index.removed(step.id)
        return _Expected(file=made.file, role=Role.OUTPUT, job=step.label, removed=removed)
    read = next((seen for seen in index.readers(path) if seen.step.stands), None)
    return None if read is None else _Expected(file=read.file, role=Role.INPUT)


def _compare(
    index: Index,
    expected: Iterable[_Expected],
    workdir: Path,
    progress: Progress | None,
    cache: StatCache | None,
) -> Iterator[Finding]:
    items = list(expected)
    total, done = sum(item.file.size or 0 for item in items), 0
    # hashing releases the interpreter; the index is asked from this thread only
    pool = ThreadPoolExecutor(_THREADS)
    try:
        found = pool.map(lambda item: _look(workdir, item.file.path, cache), items)
        for item, seen in zip(items, found, strict=True):
            done += item.file.size or 0
            if progress is not None:
                progress(done, total)
            yield _finding(index, item, seen)
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C, only what is being read now


def _look(workdir: Path, path: str, cache: StatCache | None) -> FileRecord | StorageError:
    try:
        return observe(workdir / path, root=workdir, cache=cache)
    except StorageError as exc:
        return exc


def _finding(index: Index, item: _Expected, seen: FileRecord | StorageError) -> Finding:
    expected = item.file
    state, note, found, size = State.IDENTICAL, None, None, expected.size
    if isinstance(seen, StorageError):
        state, note = State.UNREADABLE, seen.message
    elif seen.kind is FileKind.MISSING:
        gone = item.removed or expected.kind is FileKind.MISSING
        state = State.REMOVED if gone else State.MISSING
    elif expected.digest is None:
        state, note, found = State.UNKNOWN, "its bytes were not recorded", seen.digest
    elif seen.kind is FileKind.UNOBSERVED:
        state, note = State.UNREADABLE, "it keeps changing, or has no content"
    else:
        found, size = seen.digest, seen.size
        if (seen.kind, found) != (expected.kind, expected.digest):
            state, note = State.CHANGED, _explain(index, expected, seen)
    return Finding(
        path=expected.path,
        state=state,
        role=item.role,
        expected=expected.digest,
        found=found,
        size=size,
        job=item.job,
        note=note,
    )


def _explain(index: Index, expected: FileRecord, seen: FileRecord) -> str | None:
    if seen.kind is not expected.kind:
        return f"expected a {expected.kind.value}, got a {seen.kind.value}"
    other = maker_of(index, expected.path, seen.digest)
    if other is None:
        return None
    return f"these bytes were made by run {other.step.run_id[:8]}"
