"""Parts of a cluster: its nodes, and the processes here whose death ends the connection."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.records.tasks import Node

_OWN_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")
_TIMEOUT_S = 5.0
_CREDENTIALS = "3i"
"""``struct ucred`` of unix(7)."""


def living(nodes: Iterable[Mapping[str, Any]]) -> tuple[Node, ...]:
    """Return what the nodes that live have in all.

    Args:
        nodes: As ``ray.nodes`` describes them.
    """
    return tuple(
        Node(
            cpus=float(node["Resources"].get("CPU", 0)),
            memory=int(node["Resources"].get("memory", 0)),
            gpus=float(node["Resources"].get("GPU", 0)),
            custom={
                name: float(amount)
                for name, amount in node["Resources"].items()
                if name not in _OWN_RESOURCES and not name.startswith("node:")
            },
            labels=dict(node.get("Labels") or {}),
        )
        for node in nodes
        if node["Alive"]
    )


def listeners(path: str) -> Iterator[int]:
    """Yield the process that listens on a socket of this machine, if it can be seen."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(path)
        except OSError:
            return
        credentials = connection.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_CREDENTIALS)
        )
    pid, _, _ = struct.unpack(_CREDENTIALS, credentials)
    if pid:  # 0: in a container of its own
        yield pid


def children_named(pid: int, names: tuple[str, ...]) -> list[int]:
    """Return the children of a process that run one of the named programs."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if name in names and int(rest.split()[1]) == pid:
            found.append(int(entry.name))
    return found
