"""The gateway's process, and how it is started before anybody knows what it is for.

Ray takes about as long to import as Snakemake takes to read a workflow. So where the command line
asks for this executor, the process starts while Snakemake reads it, imports Ray, and joins the
cluster that is named, if one is. It is told all else later, and ends by itself when nobody does.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.backends.frames import write_frame

_EXECUTOR = "ray"
_FLAGS = ("--executor", "-e")
_ADDRESS_FLAG = "--ray-address"
_IDLE_FLAGS = ("-n", "--dry-run", "--dryrun", "--unlock", "--lint", "--version", "--help", "-h")

Process = subprocess.Popen[bytes]


class Ahead:
    """A process that was started ahead, until somebody takes it."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._key: tuple[Any, ...] = ()

    def start(self, argv: Sequence[str]) -> None:
        """Start one, if a command line asks for the executor and for jobs to run."""
        if self._process is None and wanted(argv):
            address = address_of(argv)
            self._key = _key(address)
            with contextlib.suppress(OSError):  # whoever needs the gateway will meet it again
                self._process = start(address)

    def take(self, address: str | None) -> Process | None:
        """Return it, unless what it began with is no longer true."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return None
        if self._key == _key(address):
            return process
        with process:  # closes its pipes
            process.kill()  # no job was sent yet
        return None


ahead = Ahead()


def start(address: str | None, *, patience: float = 0) -> Process:
    """Start a gateway, which imports Ray, and joins a cluster, as soon as it knows of which.

    Args:
        address: Of a cluster to be joined.
        patience: How many seconds it waits for the head of that cluster.

    Raises:
        OSError: It cannot be started.
    """
    process = subprocess.Popen(
        # -P: what lies in the working directory must not pass for a module
        [sys.executable, "-P", "-m", "snakemake_repro.gateway"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # until it knows its log
        # its own session: Ctrl-C in the terminal is the driver's to handle
        start_new_session=True,
    )
    with contextlib.suppress(OSError):
        assert process.stdin is not None
        write_frame(process.stdin, {"address": address, "patience": patience})
    return process


def instruct(process: Process, *, cpus: int | None, log: Path) -> None:
    """Tell a gateway the rest: it is to connect, from the present directory and variables."""
    log.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "cpus": cpus,
        "log": str(log),
        "workdir": str(Path.cwd()),
        "environ": dict(os.environ),
    }
    with contextlib.suppress(OSError):  # it died, which its reader finds out
        assert process.stdin is not None
        write_frame(process.stdin, settings)


def wanted(argv: Sequence[str]) -> bool:
    """Tell whether a command line of Snakemake names the executor and will run jobs."""
    named = any(pair in ((flag, _EXECUTOR) for flag in _FLAGS) for pair in _pairs(argv))
    return (named or f"--executor={_EXECUTOR}" in argv) and not set(_IDLE_FLAGS) & set(argv)


def address_of(argv: Sequence[str]) -> str | None:
    """Return the address of the cluster that a command line or the environment names."""
    given = [value for flag, value in _pairs(argv) if flag == _ADDRESS_FLAG]
    given += [arg.partition("=")[2] for arg in argv if arg.startswith(f"{_ADDRESS_FLAG}=")]
    return (given[0] if given else os.environ.get("RAY_ADDRESS")) or None


def _pairs(argv: Sequence[str]) -> list[tuple[str, str]]:
    return list(itertools.pairwise(argv))


def _key(address: str | None) -> tuple[Any, ...]:
    """Return all that Ray reads when it is imported."""
    return (address, sorted(item for item in os.environ.items() if item[0].startswith("RAY_")))
