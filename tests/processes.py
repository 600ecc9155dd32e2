"""Find and end processes by pid, as the tests that kill things need."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")


def _table() -> dict[int, tuple[int, str, str]]:
    """Return pid -> (parent, state, command line)."""
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                )
            except OSError:
                continue
            table[int(entry.name)] = (int(fields[1]), fields[0], command)
    return table


def descendants(pid: int, containing: str = "") -> list[int]:
    """Return living descendants of a process whose command line contains a text."""
    table = _table()
    found = []
    for candidate, (_, state, command) in table.items():
        ancestor = candidate
        while ancestor in table and ancestor != pid:
            ancestor = table[ancestor][0]
        if ancestor == pid and candidate != pid and state != "Z" and containing in command:
            found.append(candidate)
    return sorted(found)


def with_environment(text: str) -> list[int]:
    """Return living processes whose environment contains a text."""
    found = []
    for pid, (_, state, _) in _table().items():
        if state == "Z":
            continue
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if text.encode() in environ:
            found.append(pid)
    return found


def opened(pid: int) -> set[str]:
    """Return what a process has open: paths of files, and pipes by number."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(entry.readlink()))
    return found


def ancestors(pid: int) -> Iterator[int]:
    """Yield the parents of a process, nearest first."""
    table = _table()
    while pid in table:
        pid = table[pid][0]
        yield pid


def children(pid: int) -> set[int]:
    """Return the processes that a process has started, ended ones that it did not wait for too."""
    return {child for child, (parent, _, _) in _table().items() if parent == pid}


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Let a process do nothing during the context; it may be killed in it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def command(pid: int) -> str:
    """Return the command line of a process, nothing for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    """Send a signal to one process."""
    os.kill(pid, signum)


def wait_for(look: Callable[[], _T], *, timeout: float = 60, what: str = "it") -> _T:
    """Return the first true result of a look."""
    deadline = time.monotonic() + timeout
    while not (result := look()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
        time.sleep(0.05)
    return result


def polled(look: Callable[[], object], *, seconds: float) -> Iterator[object]:
    """Yield what a look sees until the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield look()
        time.sleep(0.05)
