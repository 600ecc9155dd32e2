"""Give up the record of old runs, as a whole and only where nothing here rests on it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from snakemake_repro.backends.artifacts import artifacts_root
from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.index import Index
from snakemake_repro.backends.journal import (
    JournalStore,
    delivery_root,
    journal_root,
    store_root,
)
from snakemake_repro.backends.snakemake_jobs import LOG_ROOT
from snakemake_repro.errors import StorageError, UsageError
from snakemake_repro.logic.history import results
from snakemake_repro.logic.lineage import maker_of
from snakemake_repro.operations.deliver import goes_on, outstanding
from snakemake_repro.operations.earlier import earlier_makers
from snakemake_repro.operations.sync import delivery_lock
from snakemake_repro.records import Origin

_LOCK_WAIT_S = 10.0
_DISCARDED = "discarded-"


class Fate(enum.Enum):
    """What becomes of the record of a run."""

    REMOVED = "removed"
    RECENT = "recent"
    GOES_ON = "goes on"
    UNDELIVERED = "not in MLflow yet"
    RESULTS = "its results are here"
    REUSED = "a kept run reuses its results"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One run.

    Attributes:
        size: Bytes of its record and its logs.
    """

    run_id: str
    started: str
    size: int
    fate: Fate


def discard(
    index: Index,
    workdir: Path,
    *,
    keep: int | None,
    older_than: float | None,
    dry_run: bool,
) -> tuple[Judged, ...]:
    """Remove the record of runs here, oldest first; what MLflow has of them stays.

    Kept are runs that go on, that MLflow does not have yet, that made files which are here, and
    whose results a kept run reuses.

    Args:
        index: The record.
        workdir: Its working directory.
        keep: The latest runs that stay, at least.
        older_than: Days; younger runs stay.
        dry_run: Only say what would be removed.

    Raises:
        UsageError: The record is being delivered at this moment.
        RecordError: A record cannot be read.
        StorageError: Something cannot be removed.
    """
    with _undisturbed(workdir):
        fates = _fates(index, workdir, keep, older_than)
        judged = tuple(
            Judged(
                run_id=line.id,
                started=line.started,
                size=sum(path.stat().st_size for path in _files(workdir, line.id)),
                fate=fates[line.id],
            )
            for line in index.run_lines(list(fates))
        )
        if not dry_run:
            for one in judged:
                if one.fate is Fate.REMOVED:
                    _remove(workdir, one.run_id)
            _sweep(workdir)
    return judged


@contextlib.contextmanager
def _undisturbed(workdir: Path) -> Iterator[None]:
    """Hold the lock under which nobody delivers.

    Raises:
        UsageError: Somebody does.
    """
    try:
        with FileLock(delivery_lock(workdir), timeout=_LOCK_WAIT_S):
            yield
    except Timeout as exc:
        raise UsageError(
            f"the record in {workdir} is being delivered to MLflow",
            hint="`repro sync` waits for that.",
        ) from exc


def _fates(
    index: Index, workdir: Path, keep: int | None, older_than: float | None
) -> dict[str, Fate]:
    """Return what becomes of each run, oldest first."""
    runs = index.run_ids()
    fates = dict.fromkeys(runs, Fate.REMOVED)
    undelivered = outstanding(workdir)
    store = JournalStore(workdir)
    now = dt.datetime.fromisoformat(SystemClock().now())
    latest = runs[-keep:] if keep else []
    for line in index.run_lines(runs):
        young = older_than is not None and now - dt.datetime.fromisoformat(
            line.started
        ) < dt.timedelta(days=older_than)
        if goes_on(store.files(line.id)):
            fates[line.id] = Fate.GOES_ON
        elif young or line.id in latest:
            fates[line.id] = Fate.RECENT
        elif line.id in undelivered:
            fates[line.id] = Fate.UNDELIVERED
        elif _is_here(index, workdir, line.id):
            fates[line.id] = Fate.RESULTS
    # a kept run may reuse what an older one made, which reused what a still older one made
    for run_id in reversed(runs):
        if fates[run_id] is not Fate.REMOVED:
            for earlier in earlier_makers(index, index.load(run_id))[1]:
                if fates.get(earlier) is Fate.REMOVED:
                    fates[earlier] = Fate.REUSED
    return fates


def _is_here(index: Index, workdir: Path, run_id: str) -> bool:
    """Tell whether a file is here that this run was the last to make."""
    for path, (_, job) in results(index.load(run_id)).items():
        if job.record.origin is not Origin.REUSED and (workdir / path).exists():
            last = maker_of(index, path, None)
            if last is not None and last.step.run_id == run_id:
                return True
    return False


def _files(workdir: Path, run_id: str) -> Iterator[Path]:
    for root in (journal_root(workdir) / run_id, artifacts_root(workdir, run_id)):
        yield from (path for path in root.rglob("*") if path.is_file())
    yield from _beside(workdir, run_id)


def _beside(workdir: Path, run_id: str) -> Iterator[Path]:
    """Yield the files of a run that are not in its journal's directory."""
    note = delivery_root(workdir) / f"{run_id}.json"
    if note.exists():
        yield note
    yield from (workdir / LOG_ROOT).glob(f"*/*/{run_id[:8]}-*.log")


def _remove(workdir: Path, run_id: str) -> None:
    """Make that a run is none any more; `_sweep` does the rest, of whatever call gets there.

    Raises:
        StorageError: It cannot be done.
    """
    with _clear_errors():
        (journal_root(workdir) / run_id).replace(store_root(workdir) / f"{_DISCARDED}{run_id}")


def _sweep(workdir: Path) -> None:
    """Remove what was discarded, also by a call that was killed, and empty directories of logs.

    Raises:
        StorageError: Something cannot be removed.
    """
    with _clear_errors():
        for journal in store_root(workdir).glob(f"{_DISCARDED}*"):
            run_id = journal.name.removeprefix(_DISCARDED)
            for path in _beside(workdir, run_id):
                path.unlink()
            for folder in (artifacts_root(workdir, run_id), journal):
                if folder.is_dir():
                    shutil.rmtree(folder)
        for path in _empty((workdir / LOG_ROOT).glob("*/*")):
            path.rmdir()


@contextlib.contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(
            f"cannot remove {exc.filename}: {exc.strerror}",
            hint="Mend the permissions and try again: that goes on where this ended.",
        ) from exc


def _empty(directories: Iterable[Path]) -> Iterator[Path]:
    for path in directories:
        if path.is_dir() and not any(path.iterdir()):
            yield path
