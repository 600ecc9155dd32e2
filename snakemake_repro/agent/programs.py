"""Programs that Snakemake measures for a benchmark, as it measures what it starts itself."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Any

_OWN = 3
"""Words of a job's own command line: a shell, ``-c`` and a text."""

_LOOK_S = 0.001


def run(argv: list[str], record: Any) -> None:
    """Run a text as ``shell()`` does once it is formatted, or what closes it off."""
    import psutil
    from snakemake.benchmark import benchmarked

    process = subprocess.Popen(argv)
    with contextlib.ExitStack() as measuring:
        try:
            measuring.enter_context(benchmarked(_own_process(process.pid, argv), record))
        except psutil.NoSuchProcess:  # it was that short
            measuring.enter_context(benchmarked(process.pid, record))
        status = process.wait()
    if status:
        raise subprocess.CalledProcessError(status, argv[-1])


def _own_process(pid: int, argv: list[str]) -> int:
    """Return the process of a job's own shell, below those that close it off and watch it.

    The command lines of the latter end with its own. If it is gone already, it is the outermost.
    """
    import psutil

    own, outer = argv[-_OWN:], psutil.Process(pid)
    while argv != own and outer.status() != psutil.STATUS_ZOMBIE:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in outer.children(recursive=True):
                line = process.cmdline()
                if line and (line == own or line[-_OWN:] != own):
                    return int(process.pid)
        time.sleep(_LOOK_S)
    return pid
