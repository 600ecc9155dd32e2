"""Bring every record of a working directory to its tracking store."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from snakemake_repro.backends.journal import JournalStore, store_root
from snakemake_repro.backends.mlflow_client import recorded_uri, resolve_tracking_uri
from snakemake_repro.errors import RecordError, StorageError
from snakemake_repro.interfaces import Tracker
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.operations.abandoned import end_abandoned_runs
from snakemake_repro.operations.deliver import Deliveries, Notes, is_over, outstanding

__all__ = [
    "Pending",
    "SyncResult",
    "Trackers",
    "delivery_lock",
    "pending",
    "recorded_uri",
    "resolve_tracking_uri",
    "sync",
]

_POLL_S = 0.25


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """What is still on its way.

    Attributes:
        jobs: Attempts.
        runs: Workflow runs.
    """

    jobs: int
    runs: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SyncResult:
    """What ``sync`` came to.

    Attributes:
        delivered: Runs that were not completely there before and are now.
        pending: What is left: runs that go on, or for which there was not time enough.
        damaged: Runs whose record cannot be read, with the reason.
    """

    delivered: tuple[str, ...]
    pending: Pending
    damaged: Mapping[str, str]


class Trackers:
    """MLflow trackers by URI, each connected once; ``Destinations``."""

    def __init__(self, workdir: Path, tracking_uri: str | None) -> None:
        """Choose where runs go.

        Args:
            workdir: The runs' working directory.
            tracking_uri: Where all of them go; ``None`` sends each where it was to go.
        """
        self._workdir = workdir
        self._explicit = tracking_uri
        self._open: dict[str, Tracker] = {}

    def name(self, history: RunHistory) -> str:
        """Return where a run goes, without credentials."""
        return strip_credentials(self._uri(history))

    def tracker(self, history: RunHistory) -> Tracker:
        """Return the tracker of a run."""
        from snakemake_repro.backends.mlflow_tracker import MlflowTracker

        uri = self._uri(history)
        if uri not in self._open:
            self._open[uri] = MlflowTracker(uri, self._workdir)
        return self._open[uri]

    def _uri(self, history: RunHistory) -> str:
        recorded = history.run.tracking_uri
        if self._explicit is not None:
            return resolve_tracking_uri(self._explicit, {}, self._workdir)
        if recorded is None:
            return resolve_tracking_uri(None, {}, self._workdir)
        current = resolve_tracking_uri(None, os.environ, self._workdir)
        # the recorded one lacks the credentials that the current one may have
        if strip_credentials(current) == recorded:
            return current
        return resolve_tracking_uri(recorded, {}, self._workdir)


def pending(workdir: Path) -> Pending:
    """Count what is still on its way; cheap enough to ask several times a second."""
    left = outstanding(workdir)
    return Pending(jobs=sum(left.values()), runs=len(left))


def sync(
    workdir: Path,
    *,
    wait: float | None = None,
    tracking_uri: str | None = None,
    progress: Callable[[Pending], None] = lambda _: None,
) -> SyncResult:
    """Deliver everything now, or wait for the recorder that does.

    Args:
        workdir: The working directory.
        wait: Seconds after which to give up waiting for another process that delivers; ``None``
            waits as long as it takes to deliver all runs that are over.
        tracking_uri: Where all runs go, also those that went elsewhere before.
        progress: Called now and then with what is left.

    Raises:
        TrackingError: The tracking store cannot be reached.
        StorageError: The notes of what was delivered cannot be written.
    """
    before = set(outstanding(workdir))
    elsewhere = set() if tracking_uri is None else set(JournalStore(workdir).run_ids())
    damaged: dict[str, str] = {}
    delivered: set[str] = set()
    deadline = None if wait is None else time.monotonic() + wait
    if before:  # some may be over although nobody has written so yet
        end_abandoned_runs(workdir)
    while before | elsewhere:
        try:
            with FileLock(delivery_lock(workdir), timeout=_POLL_S):
                done, damaged = _deliver_all(workdir, before | elsewhere, tracking_uri, progress)
                delivered |= done
            break
        except Timeout:
            progress(pending(workdir))
            late = deadline is not None and time.monotonic() > deadline
            if late or not (elsewhere or _waiting(workdir)):
                break
    delivered |= before - set(outstanding(workdir))
    return SyncResult(delivered=tuple(sorted(delivered)), pending=pending(workdir), damaged=damaged)


def postponed() -> bool:
    """Tell whether records stay in the working directory until somebody calls ``repro sync``."""
    return os.environ.get("REPRO_DELIVERY") == "later"


def delivery_lock(workdir: Path) -> Path:
    """Return the lock that is held by who delivers; two at once would make things twice.

    Raises:
        StorageError: There is no place for it.
    """
    root = store_root(workdir)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StorageError(
            f"cannot make {root}: {exc.strerror}", hint="Free some space or mend the permissions."
        ) from exc
    return root / "delivery.lock"


def _waiting(workdir: Path) -> bool:
    """Tell whether a run is over and not yet delivered."""
    store = JournalStore(workdir)
    return any(is_over(store.files(run_id)) for run_id in outstanding(workdir))


def _deliver_all(
    workdir: Path,
    run_ids: set[str],
    tracking_uri: str | None,
    progress: Callable[[Pending], None],
) -> tuple[set[str], dict[str, str]]:
    """Deliver; return the runs that are there completely now, and those that cannot be read."""
    deliveries = Deliveries(workdir, Trackers(workdir, tracking_uri))
    notes = Notes(workdir)
    done: set[str] = set()
    damaged: dict[str, str] = {}
    for run_id in sorted(run_ids):
        stamp = notes.read(run_id)
        try:
            came = deliveries.deliver(run_id, progress=lambda: progress(pending(workdir)))
        except RecordError as exc:
            damaged[run_id] = exc.message
            continue
        if came.complete and notes.read(run_id) != stamp:
            done.add(run_id)
    return done, damaged
