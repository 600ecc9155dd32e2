"""Deliver runs from the journal to a tracker: all of them, once, however often it is cut off."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from snakemake_repro.backends.journal import (
    JournalStore,
    delivery_root,
    host_in_name,
    journal_root,
    read_lines,
)
from snakemake_repro.backends.processtree import alive_since
from snakemake_repro.backends.wholefiles import replacing
from snakemake_repro.errors import RecordError, StorageError
from snakemake_repro.interfaces import Tracker
from snakemake_repro.logic.delivery import Delivery, mark_of, skipped, undelivered
from snakemake_repro.logic.history import RunHistory, fold
from snakemake_repro.records import Entry

SOON_DELIVERED = 50
"""A run of more attempts than this is not waited for by whoever started it."""

_QUIET_S = 3600.0
"""A run whose end nobody saw and whose journal was not written for so long is not waited for."""

_BATCH = 10
_PART_SIZE = 8_000_000
_DRIVER = "driver-"
_JOB_LINE = b'"kind":"job-ended"'
_END_LINE = b'"kind":"run-ended"'
_LAST_LINES = 4096


class Destinations(Protocol):
    """Where runs go."""

    def name(self, history: RunHistory) -> str:
        """Return the name of a run's tracking store, without credentials."""
        ...

    def tracker(self, history: RunHistory) -> Tracker:
        """Return the tracker for a run.

        Raises:
            TrackingError: The tracking store cannot be reached.
        """
        ...


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        over: Nothing more will be written of it.
        left: Some of what is written was not delivered yet, for lack of time.
    """

    over: bool
    left: bool = False

    @property
    def complete(self) -> bool:
        """Whether all of it is there, and nothing more will come."""
        return self.over and not self.left


class Notes:
    """The recorder's notes on each run: ``.repro/delivery/<run id>.json``."""

    def __init__(self, workdir: Path) -> None:
        self._root = delivery_root(workdir)
        self._read: dict[str, tuple[tuple[int, int], Delivery]] = {}

    def read(self, run_id: str) -> Delivery:
        """Return the notes on a run; damaged ones count as none: what is there is found again."""
        path = self._root / f"{run_id}.json"
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if run_id not in self._read or self._read[run_id][0] != stamp:
                delivery = Delivery.from_dict(json.loads(path.read_bytes()))
                self._read[run_id] = (stamp, delivery)
            return self._read[run_id][1]
        except (OSError, ValueError, RecordError):
            return Delivery(run_id=run_id)

    def write(self, delivery: Delivery) -> None:
        """Keep the notes.

        Raises:
            StorageError: They cannot be written.
        """
        path = self._root / f"{delivery.run_id}.json"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(json.dumps(delivery.to_dict()).encode())
        except OSError as exc:
            raise StorageError(
                f"cannot write {path}: {exc.strerror}", hint="Free some space."
            ) from exc


class Deliveries:
    """Delivers the runs of one working directory; journal lines are read once."""

    def __init__(self, workdir: Path, destinations: Destinations) -> None:
        self._journals = JournalStore(workdir)
        self._notes = Notes(workdir)
        self._destinations = destinations
        self._tails: dict[str, dict[str, _Tail]] = {}

    def deliver(
        self,
        run_id: str,
        *,
        seconds: float | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> Progress:
        """Deliver what is new of one run.

        Args:
            run_id: The run.
            seconds: Stop after about that time: a run that goes on is to be disturbed little.
            progress: Called after each batch of attempts.

        Raises:
            TrackingError: The tracking store cannot be reached.
            RecordError: The journal cannot be read.
            StorageError: The notes cannot be written.
        """
        files = self._journals.files(run_id)
        # who writes is looked at before what is written: a driver may end in between
        over = is_over(files)
        sizes = _sizes(files)
        history = self._read(run_id, files)
        if history is None:
            return Progress(over=False)  # its beginning is missing, or still being written
        uri = self._destinations.name(history)
        delivery = self._notes.read(run_id)
        if delivery.uri not in (None, uri):
            delivery = Delivery(run_id=run_id)
        delivery = dataclasses.replace(delivery, uri=uri)
        if over and delivery.finished and delivery.sizes == sizes:
            self._tails.pop(run_id, None)
            return Progress(over=True)
        tracker = self._destinations.tracker(history)
        delivery = dataclasses.replace(delivery, mlflow_run=tracker.begin(history))
        total = sum(sizes.values())
        if total >= 2 * delivery.lineage or (over and delivery.sizes != sizes):
            for part, lines in _parts(files):
                tracker.put_lineage(history, part, lines)
            delivery = dataclasses.replace(delivery, lineage=total)
        delivery = dataclasses.replace(delivery, skipped=skipped(history))
        stop = None if seconds is None else time.monotonic() + seconds
        jobs = undelivered(history, delivery, over=over)
        for start in range(0, len(jobs), _BATCH):
            batch = jobs[start : start + _BATCH]
            tracker.put_jobs(history, [job.record.id for job in batch])
            marks = {**delivery.marks, **{job.record.id: mark_of(job) for job in batch}}
            delivery = dataclasses.replace(delivery, marks=marks)
            self._notes.write(delivery)
            progress()
            if stop is not None and time.monotonic() > stop and start + _BATCH < len(jobs):
                return Progress(over=over, left=True)
        if over:
            tracker.finish(history)
            delivery = dataclasses.replace(delivery, sizes=sizes, finished=True)
        if delivery != self._notes.read(run_id):
            self._notes.write(delivery)
        return Progress(over=over)

    def _read(self, run_id: str, files: Sequence[Path]) -> RunHistory | None:
        tails = self._tails.setdefault(run_id, {})
        return fold(
            entry for path in files for entry in tails.setdefault(path.name, _Tail(path)).read()
        )


class _Tail:
    """The entries of a journal file, of which only the new lines are read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._entries: list[Entry] = []

    def read(self) -> Sequence[Entry]:
        """Return all entries.

        Raises:
            RecordError: A line cannot be read.
        """
        for line in read_lines(self._path, self._offset):
            try:
                entry = Entry.from_line(json.loads(line))
            except (ValueError, AttributeError) as exc:
                raise self._error(f"not a JSON object ({exc})") from exc
            except RecordError as exc:
                raise self._error(exc.message, exc.hint) from exc
            self._offset += len(line)
            if entry is not None:
                self._entries.append(entry)
        return self._entries

    def _error(self, message: str, hint: str | None = None) -> RecordError:
        return RecordError(f"{self._path}, byte {self._offset}: {message}", hint=hint)


def outstanding(workdir: Path, notes: Notes | None = None) -> dict[str, int]:
    """Return the runs that are not completely delivered, with their attempts on the way.

    Cheap: no entry is decoded.

    Args:
        workdir: The working directory.
        notes: To be given again by those who ask again.
    """
    notes = notes or Notes(workdir)
    store, root = JournalStore(workdir), journal_root(workdir)
    found = {}
    for directory in sorted(root.iterdir()) if root.is_dir() else ():
        files = store.files(directory.name)
        if not files:
            continue
        delivery = notes.read(directory.name)
        if not delivery.finished or delivery.sizes != _sizes(files):
            attempts = sum(path.read_bytes().count(_JOB_LINE) for path in files)
            settled = len(delivery.marks) + delivery.skipped
            found[directory.name] = max(0, attempts - settled)
    return found


def is_over(files: Sequence[Path]) -> bool:
    """Tell whether nothing more will be written of a run.

    It ended, or the driver that would write its end is gone.
    """
    return any(_ends(path) for path in files) or driver_lives(files) is False


def driver_lives(files: Sequence[Path]) -> bool | None:
    """Tell whether the driver of a run still runs.

    ``None``: it cannot be told. A driver on another machine cannot be looked at, and a run that
    wrappers recorded has none: whoever finds its Snakemake gone writes its end.
    """
    lives = None
    for path in files:
        if path.name.startswith(_DRIVER):
            host, _, pid = path.stem.removeprefix(_DRIVER).rpartition("-")[0].rpartition("-")
            if host != host_in_name() or not pid.isdigit():
                return None
            lives = bool(lives) or alive_since(int(pid), path.stat().st_mtime)
    return lives


def goes_on(files: Sequence[Path], *, quiet: float = _QUIET_S) -> bool:
    """Tell whether more is to be expected of a run.

    Args:
        files: Its journal.
        quiet: Seconds without a line after which a run of which nothing else is known counts as
            given up.
    """
    if is_over(files):
        return False
    return bool(driver_lives(files)) or time.time() - _last_written(files) < quiet


def extent(workdir: Path) -> dict[str, int]:
    """Return the size in bytes of every run that is not completely delivered."""
    store = JournalStore(workdir)
    return {run_id: sum(_sizes(store.files(run_id)).values()) for run_id in outstanding(workdir)}


def _last_written(files: Sequence[Path]) -> float:
    """Return when a run's journal was last written, in seconds since the epoch."""
    return max((path.stat().st_mtime for path in files), default=0.0)


def _ends(path: Path) -> bool:
    """Tell whether a run's end is among the last lines of a file."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LAST_LINES))
        lines = file.read()
    return _END_LINE in lines and lines.endswith(b"\n")


def _parts(files: Sequence[Path]) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the complete lines of a journal in parts of moderate size, each with its name.

    Journals only grow, so that parts delivered later write over all that were delivered earlier.
    """
    lines: list[bytes] = []
    size = count = 0
    for path in files:
        for line in read_lines(path):
            if size + len(line) > _PART_SIZE and lines:
                yield f"part-{count:05}", lines
                lines, size, count = [], 0, count + 1
            lines.append(line)
            size += len(line)
    if lines:
        yield f"part-{count:05}", lines


def _sizes(files: Sequence[Path]) -> Mapping[str, int]:
    return {path.name: path.stat().st_size for path in files}
