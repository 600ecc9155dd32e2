"""Whose container is whose: a label that names a process, so that what it left can be removed."""

from __future__ import annotations

import os
from pathlib import Path

from snakemake_repro.backends.containers.engine import Engine

LABEL = "snakemake-repro.owner"
_START_FIELD = 19
"""Of ``/proc/<pid>/stat`` after the command name: start time in clock ticks, see proc(5)."""


def label() -> dict[str, str]:
    """Return the label of containers that this process makes."""
    return {LABEL: ":".join((*_world(), str(os.getpid()), _started(os.getpid()) or ""))}


def sweep(engine: Engine) -> None:
    """Remove the containers whose processes of this machine are gone, and this process's own.

    To be called when this process runs none: an engine that went away may have left one. Those of
    processes that cannot be seen from here, in another container, are left alone.

    Raises:
        EnvironmentBuildError: The engine does not answer.
    """
    import docker

    with engine.errors("what earlier jobs left cannot be removed"):
        found = engine.client.containers.list(
            all=True, filters={"label": LABEL}, ignore_removed=True
        )
        for container in found:
            if _orphaned(container.labels[LABEL]):
                try:
                    container.remove(force=True, v=True)
                except docker.errors.APIError as exc:
                    # somebody else, or the engine itself, is at it
                    if exc.status_code not in (404, 409):
                        raise


def _orphaned(owner: str) -> bool:
    boot, namespace, pid, started = (*owner.split(":"), "", "", "", "")[:4]
    if boot != _world()[0] or owner == label()[LABEL]:
        return True  # no process outlives its kernel; the engine is this machine's
    return namespace == _world()[1] and pid.isdigit() and _started(int(pid)) != started


def _world() -> tuple[str, str]:
    """Return which start of the kernel this is, and in which of its worlds pids are ours."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return boot, str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[_START_FIELD]
