"""The recorder: a process of low priority that brings records to MLflow while runs go on.

One per working directory, started by whoever records there, never in the way of a job. It ends by
itself when everything has arrived and no run goes on.
"""

# nothing heavy here: whoever starts the recorder imports this module, and waits for its start

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from snakemake_repro.errors import ReproError, StorageError, TrackingError

_NICE = 19
_POLL_S = 1.0
_IDLE_S = 3.0
"""How long it stays when there is nothing to do: a run may just be beginning."""
_WORK_S = 0.4
_SHARE = 6.0
"""While a run goes on it works for moments and pauses this many times as long as it worked."""
_LONGEST_PAUSE_S = 10.0
_ROOM_S = 0.5
_HEAD_START_S = 6.0
_LONGEST_WAIT_S = 10.0
"""MLflow takes seconds of a core to be imported, which a run that has just begun needs itself."""
_UNREACHABLE_S = 600.0
_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 30.0
_GLANCE_S = 0.25
_DYING_S = 0.2
_MAX_LOG = 1_000_000


def start_recorder(workdir: Path, tracking_uri: str | None, *, wait: bool = True) -> None:
    """Start the recorder of a working directory, unless it runs already or delivery is postponed.

    The tracking URI is handed over in the environment: a command line is visible to everybody.

    Args:
        workdir: The directory.
        tracking_uri: Where MLflow is; ``None`` where this process finds it.
        wait: Return when it has left this process, as one must that soon ends.

    Raises:
        StorageError: It cannot be started.
    """
    from filelock import FileLock, Timeout

    import snakemake_repro
    from snakemake_repro.operations.sync import postponed

    if postponed():
        return

    lock = _lock(workdir)
    try:
        # one that was killed holds the lock until the kernel has closed its files
        with FileLock(lock, timeout=_DYING_S):
            pass
    except Timeout:
        return  # one that ends looks once more after it has let go of the lock
    log = lock.with_suffix(".log")
    package = Path(snakemake_repro.__file__).parent.parent
    search = os.environ.get("PYTHONPATH")
    env = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{search}" if search else str(package)}
    if tracking_uri is not None:
        env["MLFLOW_TRACKING_URI"] = tracking_uri
    try:
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > _MAX_LOG:
                log.unlink()
        with log.open("ab") as output:
            process = subprocess.Popen(
                # -P: a file of the user named like one of ours must not be imported
                [sys.executable, "-P", "-m", "snakemake_repro.recorder", str(workdir.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                cwd=workdir,
                start_new_session=True,
            )
            # it forks the recorder and ends, so that the recorder is nobody's zombie
            if wait:
                process.wait()
            else:
                threading.Thread(target=process.wait, daemon=True).start()
    except OSError as exc:
        raise StorageError(
            f"cannot start the recorder in {workdir}: {exc}",
            hint="`repro sync` delivers the record later.",
        ) from exc


def main(workdir: Path) -> int:
    """Record until there is nothing left; return the exit status."""
    from filelock import FileLock, Timeout

    from snakemake_repro.operations.deliver import extent

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while True:
            with FileLock(_lock(workdir), timeout=0):
                _record(workdir)
                known = extent(workdir)
            # whoever wrote in this moment found the lock taken
            if extent(workdir) == known:
                return 0
    except Timeout:
        return 0  # another one is at it
    except ReproError as exc:
        _say(exc.message)
        return 1


def _record(workdir: Path) -> None:
    """Deliver, with pauses while a tracking store cannot be reached."""
    from filelock import FileLock

    from snakemake_repro.operations.sync import delivery_lock

    said: set[str] = set()
    backoff = _FIRST_BACKOFF_S
    failing_since: float | None = None
    while True:
        # let go of while waiting, so that `repro sync` can try by itself
        with FileLock(delivery_lock(workdir), poll_interval=_POLL_S):
            shift = _Shift(workdir, said)
            if shift.work():
                return
        now = time.monotonic()
        failing_since = None if shift.active else failing_since or now
        if failing_since is not None and now - failing_since > _UNREACHABLE_S:
            return
        time.sleep(backoff)
        backoff = min(2 * backoff, _LONGEST_BACKOFF_S)


class _Shift:
    """Delivers what is written in one working directory, as long as the tracking stores answer.

    Attributes:
        active: Runs that go on.
    """

    def __init__(self, workdir: Path, said: set[str]) -> None:
        from snakemake_repro.backends.journal import JournalStore
        from snakemake_repro.operations.deliver import Deliveries, Notes
        from snakemake_repro.operations.sync import Trackers

        self.active: frozenset[str] = frozenset()
        self._workdir = workdir
        self._said = said
        self._store = JournalStore(workdir)
        self._notes = Notes(workdir)
        self._deliveries = Deliveries(workdir, Trackers(workdir, None))

    def work(self) -> bool:
        """Deliver until there is nothing left; ``False`` when a tracking store failed."""
        self._await_room()
        idle_since: float | None = None
        while True:
            began = time.monotonic()
            more, failed = self._round()
            now = time.monotonic()
            if failed:
                return False
            if self.active:
                idle_since = None
                self._rest(min(max(_POLL_S, _SHARE * (now - began)), _LONGEST_PAUSE_S))
            elif not more:
                idle_since = idle_since or now
                if now - idle_since > _IDLE_S:
                    return True
                time.sleep(_POLL_S)

    def _await_room(self) -> None:
        """Leave the machine to the runs that go on for a while, unless it has a core to spare.

        Two logical cores may be one that computes, so a run that nobody waits for has it alone for
        longer.
        """
        from snakemake_repro.backends.host import idle_cores
        from snakemake_repro.operations.deliver import outstanding

        began = time.monotonic()
        while any(map(self._goes_on, left := outstanding(self._workdir, self._notes))):
            idle = idle_cores(_ROOM_S) >= 1
            waited = time.monotonic() - began
            if waited > _LONGEST_WAIT_S:
                return
            if idle and (waited > _HEAD_START_S or any(map(self._awaited, left))):
                return

    def _awaited(self, run_id: str) -> bool:
        """Tell whether whoever started a run waits for it to be delivered."""
        from snakemake_repro.operations.deliver import SOON_DELIVERED

        count = self._store.job_count(run_id)
        return count is not None and count <= SOON_DELIVERED

    def _round(self) -> tuple[bool, bool]:
        """Deliver some of every run.

        Returns:
            Whether more can be delivered at once, and whether a tracking store failed.
        """
        from snakemake_repro.operations.abandoned import end_abandoned_runs
        from snakemake_repro.operations.deliver import outstanding

        more = failed = False
        try:
            end_abandoned_runs(self._workdir)
        except ReproError as exc:
            self._complain(exc.message)
        left = outstanding(self._workdir, self._notes)
        self.active = frozenset(filter(self._goes_on, left))
        seconds = _WORK_S if self.active else None
        for run_id in left:
            try:
                more |= self._deliveries.deliver(run_id, seconds=seconds).left
            except TrackingError as exc:
                failed = True
                self._complain(exc.message)
            except ReproError as exc:
                self._complain(f"run {run_id}: {exc.message}")
        return more, failed

    def _rest(self, seconds: float) -> None:
        """Leave the machine to the runs that go on, until one of them ends."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and all(map(self._goes_on, self.active)):
            time.sleep(_GLANCE_S)

    def _goes_on(self, run_id: str) -> bool:
        from snakemake_repro.operations.deliver import goes_on

        return goes_on(self._store.files(run_id))

    def _complain(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            _say(message)


def _lock(workdir: Path) -> Path:
    """Return the lock that the recorder of a working directory holds while it lives."""
    from snakemake_repro.operations.sync import delivery_lock

    return delivery_lock(workdir).with_name("recorder.lock")


def _say(message: str) -> None:
    from snakemake_repro.backends.clock import SystemClock

    sys.stderr.write(f"{SystemClock().now()} {message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    os.nice(_NICE)
    if os.fork():
        os._exit(0)
    sys.exit(main(Path(sys.argv[1])))
