"""A limit for how long a job may run, kept by the worker's own clock."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


class OverrunError(KeyboardInterrupt):
    """The time is over.

    It is an interrupt because it ends a job just as a cancelled task does: whoever waits for one
    ends its process tree or its container first, and lets the exception pass.
    """


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise ``OverrunError`` in the main thread, which must be this one, when the time is over."""
    if seconds is None:
        yield
        return

    def end(*_: object) -> None:
        raise OverrunError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
