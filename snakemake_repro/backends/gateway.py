"""The driver's side of the gateway process: start it, talk to it, replace it when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from snakemake_repro.backends import processtree
from snakemake_repro.backends.artifacts import artifacts_name
from snakemake_repro.backends.frames import read_frame, write_frame
from snakemake_repro.backends.gateway_process import ahead, instruct, start
from snakemake_repro.errors import ClusterError
from snakemake_repro.records.tasks import Node, ResourceRequest, Task, TaskResult

_START_TIMEOUT_S = 120.0
_SHUTDOWN_PATIENCE_S = 4.0
_HEAD_PATIENCE_S = 60.0
"""How long a lost head may take to be there again."""
_MAX_RESTARTS = 5
"""Within one run; a gateway that dies this often has a reason that repeating will not mend."""


class Gateway:
    """A Ray connection that outlives the process that holds it.

    When the gateway process dies, every task under way is reported as lost, and the next
    submission goes to a new process.

    Attributes:
        shipped: The cluster's workers get our packages from here, as they have none.
    """

    def __init__(
        self,
        *,
        address: str | None,
        cpus: int | None,
        log: Path,
        done: Callable[[TaskResult], None],
        lost: Callable[[str, str], None],
        changed: Callable[[tuple[Node, ...]], None],
        broken: Callable[[ClusterError], None],
        crashed: Callable[[Exception], None],
    ) -> None:
        """Start nothing yet.

        Args:
            address: Of an existing cluster, or ``None`` for one of our own.
            cpus: Logical CPUs of our own cluster.
            log: File for what the gateway and Ray print.
            done: Called with the result of a task, from a reader thread.
            lost: Called with a task's id and the reason when its worker or the gateway died.
            changed: Called with all nodes when some joined or left while tasks are under way.
            broken: Called once when no gateway can be had any more.
            crashed: Called when the reader thread cannot go on, with what it met.
        """
        self._address = address
        self._cpus = cpus
        self._log = log
        self._done = done
        self._lost = lost
        self._changed = changed
        self._broken = broken
        self._crashed = crashed
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self._silent = threading.Event()
        self._nodes: tuple[Node, ...] = ()
        self.shipped = False
        self._error: ClusterError | None = None
        self._under_way: dict[str, None] = {}
        self._restarts = 0
        self._closing = False

    def start(self) -> None:
        """Start the process without waiting until it is connected."""
        with self._lock:
            if self._process is None and self._error is None:
                self._spawn()

    def nodes(self) -> tuple[Node, ...]:
        """Wait until the cluster answers; return its nodes, and those that left since.

        Raises:
            ClusterError: It cannot be had.
        """
        self.start()
        if not self._ready.wait(_START_TIMEOUT_S):
            raise ClusterError(
                f"the Ray cluster did not answer within {_START_TIMEOUT_S:.0f} seconds",
                hint=f"{self._log} may say why.",
            )
        if self._error is not None:
            raise self._error
        return self._nodes

    def submit(self, task: Task, request: ResourceRequest) -> None:
        """Send one task; its end comes through the callbacks."""
        header = {"op": "submit", "id": task.id, "resources": request.to_dict()}
        if task.shipment is not None:
            beside = [task.log, artifacts_name(task)]
            header |= {"op": "ship", "shipment": task.shipment.to_dict(), "beside": beside}
        payload = json.dumps(task.to_dict()).encode()
        with self._lock:
            self.start()
            self._under_way[task.id] = None
            self._send(header, payload)

    def cancel(self, task_id: str) -> None:
        """Stop one task."""
        with self._lock:
            self._send({"op": "cancel", "id": task_id})

    def release(self) -> None:
        """Say that there is nothing more to come, and let the gateway end meanwhile."""
        with self._lock:
            self._closing = True
            process = self._process
            if process is None or process.stdin is None or process.stdin.closed:
                return
            with contextlib.suppress(OSError):
                write_frame(process.stdin, {"op": "shutdown"})
                process.stdin.close()

    def close(self) -> None:
        """End the gateway, its tasks and a cluster of our own; returns when they are gone.

        Of a cluster that goes on it takes leave by itself, when none of its tasks is left there.
        """
        self.release()
        process, self._process = self._process, None
        if process is None:
            return
        deadline = time.monotonic() + _SHUTDOWN_PATIENCE_S
        left = self._silent.wait(_SHUTDOWN_PATIENCE_S)
        if left and self._address is not None:
            return
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _kill_session(process.pid)
            process.wait()
        if self._reader is not None:
            self._reader.join(_SHUTDOWN_PATIENCE_S)

    def _send(self, header: Mapping[str, Any], payload: bytes = b"") -> None:
        """Write to the process; a broken pipe is the reader thread's to handle."""
        process = self._process
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(OSError):
            write_frame(process.stdin, header, payload)

    def _spawn(self) -> None:
        self._ready.clear()
        self._silent.clear()
        patience = _HEAD_PATIENCE_S if self._restarts else 0
        process = ahead.take(self._address) or start(self._address, patience=patience)
        instruct(process, cpus=self._cpus, log=self._log)
        self._process = process
        assert process.stdout is not None
        self._reader = threading.Thread(
            target=self._read, args=(process, process.stdout), name="repro-gateway", daemon=True
        )
        self._reader.start()

    def _read(self, process: subprocess.Popen[bytes], stream: IO[bytes]) -> None:
        """Dispatch what one gateway process says, then deal with its end."""
        try:
            while (frame := read_frame(stream)) is not None:
                self._take(*frame)
            stream.close()
            self._silent.set()
            self._bury(process)
        except Exception as exc:  # noqa: BLE001 - whoever waits for this thread must hear of it
            self._crashed(exc)

    def _take(self, header: Mapping[str, Any], payload: bytes) -> None:
        match header["op"]:
            case "done":
                if self._settle(header["id"]):
                    self._done(TaskResult.from_dict(json.loads(payload)))
            case "lost":
                if self._settle(header["id"]):
                    self._lost(header["id"], header["reason"])
            case "ready":
                self.shipped = bool(header["shipped"])
                self._nodes = _nodes(header)
                self._ready.set()
            case "nodes":
                now = _nodes(header)
                # one that left may come back: what only it can run waits for it
                self._nodes += tuple(node for node in now if node not in self._nodes)
                self._changed(now)
            case "failed":
                self._error = ClusterError(header["message"], hint=header["hint"])
                self._ready.set()

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        """Replace a process that ended by itself, and report its tasks as lost."""
        status = process.wait()
        with self._lock:
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            if self._closing or self._process is not process:
                return
            self._process = None
            _kill_session(process.pid)
            orphans, self._under_way = list(self._under_way), {}
            error = self._error
            if error is None and self._restarts >= _MAX_RESTARTS:
                error = self._error = ClusterError(
                    f"the connection to Ray was lost {self._restarts + 1} times in this run",
                    hint=f"{self._log} may say why; finished jobs are kept, run again to continue.",
                )
                self._ready.set()
            elif error is None:
                self._restarts += 1
                if orphans or not self._ready.is_set():  # somebody may wait for the cluster
                    self._spawn()
        if error is not None:
            self._broken(error)
            return
        for task_id in orphans:
            self._lost(task_id, f"the connection to Ray was lost (gateway ended with {status})")

    def _settle(self, task_id: str) -> bool:
        """Forget a task; tell whether it was under way."""
        with self._lock:
            return self._under_way.pop(task_id, self) is None


def _nodes(header: Mapping[str, Any]) -> tuple[Node, ...]:
    return tuple(Node.from_dict(node) for node in header["nodes"])


def _kill_session(leader: int) -> None:
    """Kill what is left of a session: a local cluster whose gateway did not end it."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and processtree.alive(int(entry.name)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry.name), signal.SIGKILL)
