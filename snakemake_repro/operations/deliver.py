"""Deliver a run from the journal to a tracker: all of it, once, however often it is cut off."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from snakemake_repro.backends.journal import (
    JournalStore,
    host_in_name,
    read_lines,
    store_root,
)
from snakemake_repro.backends.processtree import alive
from snakemake_repro.errors import NotFoundError, RecordError, StorageError
from snakemake_repro.interfaces import Tracker
from snakemake_repro.logic.delivery import Delivery, undelivered
from snakemake_repro.logic.history import RunHistory

_BATCH = 25
_DRIVER = "driver-"
_JOB_LINE = b'"kind":"job-ended"'


class Notes:
    """The recorder's notes on each run: ``.repro/delivery/<run id>.json``."""

    def __init__(self, workdir: Path) -> None:
        self._root = store_root(workdir) / "delivery"

    def read(self, run_id: str) -> Delivery:
        """Return the notes on a run; damaged ones count as none: what is there is found again."""
        try:
            return Delivery.from_dict(json.loads((self._root / f"{run_id}.json").read_bytes()))
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
            fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=self._root)
            try:
                with os.fdopen(fd, "w") as file:
                    json.dump(delivery.to_dict(), file)
                Path(name).replace(path)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as exc:
            raise StorageError(
                f"cannot write {path}: {exc.strerror}", hint="Free some space."
            ) from exc


def outstanding(workdir: Path) -> Iterator[tuple[str, int]]:
    """Yield runs that are not completely delivered, with the number of attempts on their way."""
    store, notes = JournalStore(workdir), Notes(workdir)
    root = store_root(workdir) / "journal"
    for directory in sorted(root.iterdir()) if root.is_dir() else ():
        files = store.files(directory.name)
        if not files:
            continue
        delivery = notes.read(directory.name)
        if delivery.finished and delivery.sizes == _sizes(files):
            continue
        attempts = sum(path.read_bytes().count(_JOB_LINE) for path in files)
        yield directory.name, max(0, attempts - len(delivery.states))


def deliver(
    workdir: Path,
    run_id: str,
    tracker: Callable[[RunHistory], Tracker],
    pause: Callable[[], None],
) -> bool:
    """Deliver what is new of one run.

    Args:
        workdir: Where the journal is.
        run_id: The run.
        tracker: Gives the tracker for the run.
        pause: Called between batches; it keeps out of the way of a run that goes on.

    Returns:
        Whether the run is over and completely delivered.

    Raises:
        TrackingError: The tracking store cannot be reached.
        RecordError: The journal cannot be read.
        StorageError: The notes cannot be written.
    """
    store, notes = JournalStore(workdir), Notes(workdir)
    delivery = notes.read(run_id)
    files = store.files(run_id)
    sizes = _sizes(files)
    try:
        history = store.load(run_id)
    except NotFoundError:
        return False  # its beginning is still being written
    over = is_over(history, files)
    target = tracker(history)
    target.begin(history)
    jobs = undelivered(history, delivery, over=over)
    for start in range(0, len(jobs), _BATCH):
        batch = jobs[start : start + _BATCH]
        ids = tuple(job.record.id for job in batch)
        # the intent comes first: what a crash cuts off is looked for, not made twice
        notes.write(dataclasses.replace(delivery, intent=ids))
        target.put_jobs(history, ids)
        states = {**delivery.states, **{job.record.id: job.state.value for job in batch}}
        delivery = dataclasses.replace(delivery, states=states, intent=())
        notes.write(delivery)
        pause()
    if not over or (delivery.finished and delivery.sizes == sizes):
        return over
    for path in files:
        if delivery.sizes.get(path.name) != sizes[path.name]:
            target.put_lineage(history, path.stem, read_lines(path))
    target.finish(history)
    notes.write(dataclasses.replace(delivery, sizes=sizes, finished=True))
    return True


def is_over(history: RunHistory, files: list[Path]) -> bool:
    """Tell whether nothing more will be written of a run.

    It ended, or the driver that would write its end is gone. A driver on another machine cannot be
    looked at and counts as alive.
    """
    if history.end is not None:
        return True
    drivers = [path.stem.removeprefix(_DRIVER) for path in files if path.name.startswith(_DRIVER)]
    for driver in drivers:
        host, _, pid = driver.rpartition("-")[0].rpartition("-")
        if host != host_in_name() or (pid.isdigit() and alive(int(pid))):
            return False
    # runs without a driver's journal belong to wrappers; whoever finds their Snakemake gone
    # writes their end
    return bool(drivers)


def _sizes(files: list[Path]) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in files}
