"""Run a program in the user's terminal, as if it had been started there."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snakemake_repro.errors import UsageError

_THE_PROGRAMS = (signal.SIGINT, signal.SIGQUIT)
"""The terminal sends them to the program as well, and it decides what they mean."""
_FORWARDED = (signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL = 128


def run_in_foreground(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> int:
    """Run a program to its end; return its exit code as a shell says it.

    Args:
        argv: The program, which is looked for in the search path of ``env``, and its arguments.
        env: Its environment variables, complete.
        cwd: Its working directory.

    Raises:
        UsageError: It cannot be started.
    """
    try:
        process = subprocess.Popen(argv, env=env, cwd=cwd)
    except OSError as exc:
        raise UsageError(
            f"{argv[0]} cannot be started: {exc.strerror or exc}",
            hint="Its name is looked for in the environment first, then on the caller's PATH.",
        ) from exc
    with _signals(process):
        code = process.wait()
    return code if code >= 0 else _BY_SIGNAL - code


@contextlib.contextmanager
def _signals(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave signals to a program as long as it runs."""
    before = {number: signal.getsignal(number) for number in (*_THE_PROGRAMS, *_FORWARDED)}
    for number in _THE_PROGRAMS:
        signal.signal(number, signal.SIG_IGN)
    for number in _FORWARDED:
        signal.signal(number, lambda number, _frame: process.send_signal(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
