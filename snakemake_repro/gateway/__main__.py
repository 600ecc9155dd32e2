"""Forward tasks from the driver to Ray and results back, until the driver goes.

Frames (see ``backends.frames``) come on standard input and go out on standard output; nothing
else may write there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from snakemake_repro.backends.frames import read_frame, write_frame
from snakemake_repro.errors import ReproError
from snakemake_repro.operations.remote import execute, execute_apart, warm_up
from snakemake_repro.records.tasks import Node, ResourceRequest, Shipment

if TYPE_CHECKING:
    from snakemake_repro.backends.ray_cluster import RayCluster

HEAD_LOST_STATUS = 75
"""Exit status when the head of our own cluster is lost (``EX_TEMPFAIL``): start over."""


class _Replies:
    """Frames to the driver, from any thread.

    Attributes:
        awaited: Payloads of the attempts that the driver has not heard of since it sent them.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self.awaited: dict[str, bytes] = {}

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        with self._lock:
            try:
                write_frame(self._stream, header, payload)
            except OSError:
                # The driver is gone; standard input closes as well and ends this process.
                return

    def close(self) -> None:
        """Say that nothing more will come."""
        with self._lock, contextlib.suppress(OSError):
            self._stream.close()

    def outcome(self, attempt: str, payload: bytes | None, reason: str | None) -> None:
        self.awaited.pop(attempt, None)
        if payload is not None:
            self.send({"op": "done", "id": attempt}, payload)
        else:
            self.send({"op": "lost", "id": attempt, "reason": reason})


def main() -> int:
    """Serve one driver; return the exit status."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = _Replies(os.fdopen(os.dup(1), "wb"))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # nothing else may write there

    first = read_frame(requests)
    if first is None:
        return 0
    address = first[0]["address"]
    try:
        cluster = _reach(requests, replies, address, patience=first[0]["patience"])
    except ReproError as exc:
        replies.send({"op": "failed", "message": exc.message, "hint": exc.hint})
        return 1
    if cluster is None:
        return 0
    joined = address is not None
    told = False
    try:
        replies.send({"op": "ready", "nodes": _data(cluster.nodes), "shipped": cluster.shipped})
        told = _serve(requests, cluster, replies.awaited)
    finally:
        if joined and cluster.idle:
            replies.close()  # nobody need wait until Ray has taken its leave
        cluster.shutdown()
    if not told:
        from snakemake_repro.operations.unfinished import record_orphans

        try:
            record_orphans(tuple(replies.awaited.values()))
        except ReproError as exc:
            sys.stderr.write(f"{exc.message}\n")
            return 1
    return 0


def _reach(
    requests: IO[bytes], replies: _Replies, address: str | None, *, patience: float
) -> RayCluster | None:
    """Join a cluster at once, or start one as soon as a driver is there to use it.

    Returns:
        Nothing if the driver went away.

    Raises:
        ClusterError: It cannot be had; said when the driver is ready to hear it.
    """
    from snakemake_repro.backends.ray_cluster import RayCluster, import_ray

    def cluster(cpus: int | None = None) -> RayCluster:
        return RayCluster(
            execute,
            execute_apart,
            warm_up,
            replies.outcome,
            address=address,
            cpus=cpus,
            head_lost=lambda: os._exit(HEAD_LOST_STATUS),
            nodes_changed=lambda nodes: replies.send({"op": "nodes", "nodes": _data(nodes)}),
        )

    import_ray(address, patience=patience)
    joined = refusal = None
    if address is not None:  # its workers start while Snakemake reads the workflow
        try:
            joined = cluster()
        except ReproError as exc:
            refusal = exc
    frame = read_frame(requests)
    if frame is None:
        if joined is not None:
            joined.shutdown()
        return None
    _settle(frame[0])
    if refusal is not None:
        raise refusal
    return joined or cluster(frame[0]["cpus"])


def _settle(settings: dict[str, Any]) -> None:
    """Go where the driver is, with its variables, and write what Ray prints into the log."""
    log = os.open(settings["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(settings["workdir"])
    # Ray's are those of the driver, and what was set for a cluster that is joined already
    rays = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    os.environ.clear()
    os.environ.update({**settings["environ"], **rays})


def _data(nodes: Iterable[Node]) -> list[dict[str, Any]]:
    return [node.to_dict() for node in nodes]


def _serve(requests: IO[bytes], cluster: Any, awaited: dict[str, bytes]) -> bool:
    """Take requests until there are no more; tell whether the driver said so."""
    while (frame := read_frame(requests)) is not None:
        header, payload = frame
        match header["op"]:
            case "submit":
                awaited[header["id"]] = payload
                request = ResourceRequest.from_dict(header["resources"])
                cluster.submit(header["id"], payload, request)
            case "ship":
                awaited[header["id"]] = payload
                _ship(header, payload, cluster)
            case "cancel":
                cluster.cancel(header["id"])
            case "shutdown":
                return True
    return False


def _ship(header: dict[str, Any], payload: bytes, cluster: Any) -> None:
    """Submit a task whose files travel with it."""
    from snakemake_repro.operations.apart import receive, refusal

    shipment = Shipment.from_dict(header["shipment"])
    base = Path(shipment.base)
    names = (*shipment.outputs, *shipment.logs, *header["beside"])
    cluster.ship(
        header["id"],
        payload,
        ResourceRequest.from_dict(header["resources"]),
        archive=Path(shipment.sources),
        files={name: base / name for name in shipment.inputs},
        receive=lambda attempt, items: receive(base, names, attempt, items),
        refused=lambda error: refusal(header["id"], error),
    )


if __name__ == "__main__":
    sys.exit(main())
