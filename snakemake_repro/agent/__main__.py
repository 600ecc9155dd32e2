"""Serve a worker's requests on standard input and output until it goes.

Requests and replies are JSON lines. ``{"op": "run", ...}`` starts a job, ``{"op": "cancel"}`` ends
it; ``{"op": "started", "pid": ...}`` and ``{"op": "ended", ...}`` come back.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from resource import struct_rusage
from typing import Any

from snakemake_repro.backends import processtree

_TERM_PATIENCE_S = 2.0


class _Agent:
    """One job at a time, as a Ray worker runs one task at a time."""

    def __init__(self) -> None:
        self._requests = os.dup(0)
        self._replies = os.dup(1)
        # what a library prints must not end up among the replies
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(2, 1)
        self._buffer = b""
        wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wake_read = wake_read
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        processtree.become_subreaper()

    def serve(self) -> None:
        while (request := self._next_request()) is not None:
            if request["op"] == "run":
                self._run(request)

    def _next_request(self) -> dict[str, Any] | None:
        while b"\n" not in self._buffer:
            chunk = os.read(self._requests, 1 << 16)
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        request: dict[str, Any] = json.loads(line)
        return request

    def _reply(self, **message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the worker is gone; its requests end, too
            os.write(self._replies, json.dumps(message).encode() + b"\n")

    def _run(self, request: dict[str, Any]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        flags |= 0 if request.get("append") else os.O_TRUNC
        try:
            log_fd = os.open(request["log"], flags, 0o644)
        except OSError as exc:
            self._reply(op="failed", error=f"cannot write {request['log']}: {exc.strerror}")
            return
        started = time.monotonic()
        try:
            pid = self._start(request, log_fd)
        except Exception as exc:  # noqa: BLE001 - importing Snakemake imports every plugin there is
            text = f"cannot load Snakemake on this node: {type(exc).__name__}: {exc}"
            self._reply(op="failed", error=text)
            return
        finally:
            os.close(log_fd)
        self._reply(op="started", pid=pid)
        status, use = self._wait(pid)
        wall = time.monotonic() - started
        processtree.kill_group(pid, signal.SIGKILL)
        figures = _summed([use, *processtree.kill_rest()])
        self._reply(op="ended", status=os.waitstatus_to_exitcode(status), wall=wall, use=figures)

    def _start(self, request: dict[str, Any], log_fd: int) -> int:
        cwd, env = request["cwd"], request["env"]
        command = request["command"]
        if command["kind"] == "shell":
            argv = [command["executable"], "-c", command["text"]]
            return processtree.execute(argv, cwd=cwd, env=env, log_fd=log_fd)
        if command["kind"] == "program":
            argv = command["argv"]
            return processtree.execute(argv, cwd=cwd, env=env, log_fd=log_fd)
        from snakemake_repro.agent import calls

        if calls.preload():
            gc.collect()
            gc.freeze()  # keeps forked children from copying what they only read
        return processtree.spawn(
            lambda: calls.run(request),
            cwd=cwd,
            env=env,
            log_fd=log_fd,
        )

    def _wait(self, pid: int) -> tuple[int, struct_rusage]:
        """Wait for the job, or end it when the worker asks or is gone."""
        kill_at: float | None = None
        while True:
            done, status, use = os.wait4(pid, os.WNOHANG)
            if done:
                return status, use
            watched = [self._wake_read] if kill_at else [self._wake_read, self._requests]
            timeout = None if kill_at is None else max(0.0, kill_at - time.monotonic())
            ready, _, _ = select.select(watched, [], [], timeout)
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            if self._requests in ready and self._cancelled():
                processtree.kill_group(pid, signal.SIGTERM)
                kill_at = time.monotonic() + _TERM_PATIENCE_S
            if kill_at is not None and time.monotonic() >= kill_at:
                processtree.kill_group(pid, signal.SIGKILL)
                kill_at = time.monotonic() + _TERM_PATIENCE_S

    def _cancelled(self) -> bool:
        """Tell whether what arrived means the end of the running job."""
        chunk = os.read(self._requests, 1 << 16)
        if not chunk:
            return True
        self._buffer += chunk
        line, newline, rest = self._buffer.partition(b"\n")
        if newline and json.loads(line)["op"] == "cancel":
            self._buffer = rest
            return True
        return False


def _summed(uses: Sequence[struct_rusage]) -> list[float]:
    """Return what several processes used together: a sandbox's first process outlives its own."""
    return [
        sum(use.ru_utime for use in uses),
        sum(use.ru_stime for use in uses),
        max(use.ru_maxrss for use in uses),
        sum(use.ru_inblock for use in uses),
        sum(use.ru_oublock for use in uses),
    ]


def main() -> None:
    """Serve until standard input closes.

    A Ray worker that ends kills its children first, and with this process would go the only one
    that can find what a job left behind. So it is forked once more and becomes nobody's child.
    """
    if os.fork():
        os._exit(0)
    _Agent().serve()


if __name__ == "__main__":
    main()
    sys.exit(0)
