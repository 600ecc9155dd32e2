"""The output of jobs while they run, line by line."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from snakemake_repro.logic.inert import inert
from snakemake_repro.records.tasks import Task

_PAUSE_S = 0.3
_MOST = 1 << 20
"""Bytes of one job that are shown at a time; what it says faster waits for its turn."""

_LONGEST_LINE = 1 << 16
"""A line that is longer is shown in pieces: it may be a progress bar without an end."""


@dataclasses.dataclass(slots=True)
class _Followed:
    path: Path
    prefix: str
    offset: int = 0
    rest: bytes = b""


class Follower:
    """Shows what jobs write into their logs, each line after the job's rule and wildcards.

    Logs are files that driver and nodes share; they stay as they are.
    """

    def __init__(self, workdir: Path, say: Callable[[str], None]) -> None:
        """Follow nothing yet.

        Args:
            workdir: Working directory of the run.
            say: Shows a line.
        """
        self._workdir = workdir
        self._say = say
        self._lock = threading.Lock()
        self._followed: dict[int, _Followed] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="repro-follower", daemon=True)

    def begin(self, task: Task) -> None:
        """Follow a task; the attempt that it repeats is shown to its end."""
        followed = _Followed(self._workdir / task.log, f"[{_label(task)}] ")
        with self._lock:
            if not self._thread.is_alive() and not self._closing.is_set():
                self._thread.start()
            before = self._followed.pop(_key(task), None)
            self._followed[_key(task)] = followed
            self._finish(before)

    def end(self, task: Task) -> None:
        """Show what is left of a task, and follow it no longer."""
        with self._lock:
            self._finish(self._followed.pop(_key(task), None))

    def close(self) -> None:
        """Follow nothing any more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(_PAUSE_S):
            with self._lock:
                for followed in self._followed.values():
                    self._show(followed)

    def _finish(self, followed: _Followed | None) -> None:
        if followed is None:
            return
        while self._show(followed):
            pass
        if followed.rest:
            self._say(followed.prefix + _readable(followed.rest))

    def _show(self, followed: _Followed) -> bool:
        """Show complete lines that came since; tell whether there may be more."""
        chunk = b""
        # a job that waits for its CPUs has no log yet
        with contextlib.suppress(OSError), followed.path.open("rb") as log:
            log.seek(followed.offset)
            chunk = log.read(_MOST)
        followed.offset += len(chunk)
        for line in _lines(followed, chunk):
            self._say(followed.prefix + _readable(line))
        return len(chunk) == _MOST


def _lines(followed: _Followed, chunk: bytes) -> Iterator[bytes]:
    *lines, rest = (followed.rest + chunk).split(b"\n")
    yield from lines
    while len(rest) > _LONGEST_LINE:
        yield rest[:_LONGEST_LINE]
        rest = rest[_LONGEST_LINE:]
    followed.rest = rest


def _readable(line: bytes) -> str:
    """Return a line as a terminal may show it; of a progress bar its last state."""
    text = line.decode("utf-8", "surrogateescape").rstrip("\r")
    return inert(text.rpartition("\r")[2])


def _label(task: Task) -> str:
    spec = task.members[0].spec
    name = spec.rule if task.group is None else task.group
    wildcards = ",".join(f"{key}={value}" for key, value in spec.wildcards.items())
    return inert(f"{name} {wildcards}".strip())


def _key(task: Task) -> int:
    return task.members[0].jobid
