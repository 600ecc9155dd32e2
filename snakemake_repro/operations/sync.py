"""Bring every record of a working directory to its tracking store."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from snakemake_repro.backends.journal import store_root
from snakemake_repro.backends.mlflow_client import recorded_uri, resolve_tracking_uri
from snakemake_repro.errors import RecordError
from snakemake_repro.interfaces import Tracker
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.operations.deliver import deliver, outstanding

__all__ = [
    "Pending",
    "SyncResult",
    "Trackers",
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
    """MLflow trackers by URI, each connected once."""

    def __init__(self, workdir: Path, tracking_uri: str | None) -> None:
        """Choose where runs go.

        Args:
            workdir: The runs' working directory.
            tracking_uri: Where all of them go; ``None`` sends each where it was to go.
        """
        self._workdir = workdir
        self._explicit = tracking_uri
        self._open: dict[str, Tracker] = {}

    def __call__(self, history: RunHistory) -> Tracker:
        """Return the tracker of a run."""
        from snakemake_repro.backends.mlflow_tracker import MlflowTracker

        uri = self._uri(history)
        if uri not in self._open:
            self._open[uri] = MlflowTracker(uri)
        return self._open[uri]

    def _uri(self, history: RunHistory) -> str:
        current = resolve_tracking_uri(self._explicit, os.environ, self._workdir)
        recorded = history.run.tracking_uri
        # the recorded one lacks the credentials that the current one may have
        if self._explicit or not recorded or strip_credentials(current) == recorded:
            return current
        return resolve_tracking_uri(recorded, {}, self._workdir)


def pending(workdir: Path) -> Pending:
    """Count what is still on its way; cheap enough to ask several times a second."""
    left = list(outstanding(workdir))
    return Pending(jobs=sum(jobs for _, jobs in left), runs=len(left))


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
        wait: Seconds after which to give up waiting for another process; ``None`` waits as long
            as it takes.
        tracking_uri: Where all runs go, instead of where each was to go.
        progress: Called now and then with what is left.

    Raises:
        TrackingError: The tracking store cannot be reached.
        StorageError: The notes of what was delivered cannot be written.
    """
    before = {run_id for run_id, _ in outstanding(workdir)}
    damaged: dict[str, str] = {}
    if before:
        deadline = None if wait is None else time.monotonic() + wait
        lock = FileLock(recorder_lock(workdir))
        while True:
            try:
                with lock.acquire(timeout=_POLL_S):
                    damaged = _deliver_all(workdir, tracking_uri, progress)
                break
            except Timeout:
                left = pending(workdir)
                progress(left)
                if not left.runs or (deadline is not None and time.monotonic() > deadline):
                    break
    left_ids = {run_id for run_id, _ in outstanding(workdir)}
    return SyncResult(
        delivered=tuple(sorted(before - left_ids)), pending=pending(workdir), damaged=damaged
    )


def recorder_lock(workdir: Path) -> Path:
    """Return the lock that who delivers holds."""
    root = store_root(workdir)
    root.mkdir(parents=True, exist_ok=True)
    return root / "recorder.lock"


def _deliver_all(
    workdir: Path, tracking_uri: str | None, progress: Callable[[Pending], None]
) -> dict[str, str]:
    trackers = Trackers(workdir, tracking_uri)
    damaged = {}
    for run_id, _ in list(outstanding(workdir)):
        try:
            deliver(workdir, run_id, trackers, lambda: progress(pending(workdir)))
        except RecordError as exc:
            damaged[run_id] = exc.message
    return damaged
