"""Strace: the program that watches what a job does with files, where it may."""

from __future__ import annotations

import functools
import os
import stat as modes
import subprocess
from collections.abc import Iterator
from pathlib import Path

from snakemake_repro.backends.basesystem import Base
from snakemake_repro.backends.bubblewrap import View, starts
from snakemake_repro.logic.trace import OPTIONS

_PLACES = ("/usr/bin/strace", "/usr/local/bin/strace", "/bin/strace")
_FILTER = "--seccomp-bpf"
"""Stops a job at the calls that are watched only; since strace 5.3."""


@functools.lru_cache(maxsize=4)
def tracer(base: Base) -> tuple[str, ...]:
    """Return the command that watches another one in a room; empty where there is none.

    The name of a file for what it sees, and the command, are to follow.
    """
    for path in _PLACES:
        if not base.has(path):
            continue
        for extra in ((_FILTER,), ()):
            command = (path, *extra, *OPTIONS, "-o")
            view = View(base=base, mounts=(), workdir="/", variables={})
            if starts(view, [*command, "/dev/null", "/bin/sh", "-c", ":"]).returncode == 0:
                return command
    return ()


@functools.cache
def tracer_version(path: str) -> str:
    """Return a tracer's name and version."""
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    words = done.stdout.partition("\n")[0].split()
    return f"strace {words[-1]}" if words else "strace"


def kind_of(path: str) -> str | None:
    """Tell whether a path is a file or a directory, if anything is there."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return None
    return "directory" if modes.S_ISDIR(mode) else "file"


def lines(path: Path) -> Iterator[str]:
    """Yield the lines that a tracer wrote, if it wrote any."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            yield from file
    except FileNotFoundError:
        return
