"""The recorder: a process of low priority that brings records to MLflow while runs go on.

One per working directory, started by whoever records there, never in the way of a job. It ends by
itself when everything has arrived and no run goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import snakemake_repro
from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.journal import store_root
from snakemake_repro.errors import ReproError, TrackingError
from snakemake_repro.operations.deliver import deliver, outstanding
from snakemake_repro.operations.standalone import end_abandoned_runs
from snakemake_repro.operations.sync import Trackers, recorder_lock

_NICE = 19
_POLL_S = 1.0
_IDLE_S = 3.0
"""How long it stays when there is nothing to do: a run may just be beginning."""
_SHARE = 6.0
"""While a run goes on it pauses this many times as long as it worked."""
_LONGEST_PAUSE_S = 5.0
_UNREACHABLE_S = 600.0
_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 30.0
_MAX_LOG = 1_000_000


def start_recorder(workdir: Path, tracking_uri: str | None) -> None:
    """Start the recorder of a working directory, unless it runs already.

    The tracking URI is handed over in the environment: a command line is visible to everybody.
    """
    root = store_root(workdir)
    root.mkdir(parents=True, exist_ok=True)
    log = root / "recorder.log"
    package = Path(snakemake_repro.__file__).parent.parent
    search = os.environ.get("PYTHONPATH")
    env = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{search}" if search else str(package)}
    if tracking_uri is not None:
        env["MLFLOW_TRACKING_URI"] = tracking_uri
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _MAX_LOG:
            log.unlink()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake_repro.recorder", str(workdir)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            cwd=workdir,
            start_new_session=True,
        )
    # what was started forks the recorder and ends, so that it outlives us without being a zombie
    process.wait()


def main(workdir: Path) -> int:
    """Record until there is nothing left; return the exit status."""
    from filelock import FileLock, Timeout

    os.nice(_NICE)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    lock = FileLock(recorder_lock(workdir), timeout=0)
    try:
        with lock:
            _record(workdir)
    except Timeout:
        return 0  # another one is at it
    return 0


def _record(workdir: Path) -> None:
    trackers = Trackers(workdir, None)
    idle_since = unreachable_since = None
    backoff = _FIRST_BACKOFF_S
    reported: set[str] = set()
    while True:
        try:
            busy = _round(workdir, trackers, reported)
            unreachable_since, backoff = None, _FIRST_BACKOFF_S
        except TrackingError as exc:
            _say(exc.message)
            now = time.monotonic()
            unreachable_since = unreachable_since or now
            if now - unreachable_since > _UNREACHABLE_S:
                return
            trackers = Trackers(workdir, None)
            time.sleep(backoff)
            backoff = min(2 * backoff, _LONGEST_BACKOFF_S)
            continue
        if busy:
            idle_since = None
        else:
            idle_since = idle_since or time.monotonic()
            if time.monotonic() - idle_since > _IDLE_S:
                return
        time.sleep(_POLL_S)


def _round(workdir: Path, trackers: Trackers, reported: set[str]) -> bool:
    """Deliver what is new of every run; tell whether any of them goes on."""
    busy = False
    try:
        end_abandoned_runs(workdir)
    except ReproError as exc:
        _say_once(exc.message, reported)
    for run_id, _ in list(outstanding(workdir)):
        try:
            over = deliver(workdir, run_id, trackers, _considerate())
        except TrackingError:
            raise
        except ReproError as exc:
            _say_once(f"{run_id}: {exc.message}", reported)
            continue
        busy = busy or not over
    return busy


def _considerate() -> Callable[[], None]:
    """Return a pause that leaves most of the time to others."""
    worked_since = time.monotonic()

    def pause() -> None:
        nonlocal worked_since
        worked = time.monotonic() - worked_since
        if os.getloadavg()[0] > (os.cpu_count() or 1) / 2:
            time.sleep(min(worked * _SHARE, _LONGEST_PAUSE_S))
        worked_since = time.monotonic()

    return pause


def _say_once(message: str, said: set[str]) -> None:
    if message not in said:
        said.add(message)
        _say(message)


def _say(message: str) -> None:
    sys.stderr.write(f"{SystemClock().now()} {message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    sys.exit(main(Path(sys.argv[1])))
