"""The worker's side of its agents, see ``snakemake_repro.agent``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.backends import processtree
from snakemake_repro.errors import ExecutionError
from snakemake_repro.records import ResourceUse
from snakemake_repro.records.tasks import Command

_POLL_S = 0.2
"""A cancelled Ray task learns of it between two bytecodes, so no wait may block for long."""


class AgentLostError(ExecutionError):
    """The agent died; its job was ended, and nothing is known of its result."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a job's process ended.

    Attributes:
        status: Exit code; negative for a signal.
        problem: What is known of a failure beside the status.
    """

    status: int
    use: ResourceUse
    problem: str | None = None


class Agent:
    """One agent process, started on first use and again when it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def start(self) -> None:
        """Begin to start the process now, where the first job would wait for it."""
        if self._process is None:
            self._start()

    def run(
        self,
        command: Command,
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path,
        python: str | None = None,
        search_path: Path | None = None,
        programs: str | None = None,
        plan: Path | None = None,
        members: Path | None = None,
        append: bool = False,
    ) -> Ended:
        """Run a job to its end.

        With ``plan``, a call only writes into that file what it would run (``agent.scripts``).
        With ``programs``, it takes what runs its script from that directory or not at all. With
        ``members``, Snakemake finds in that file where its jobs run (``backends.snakemake_forks``).
        With ``append``, what is in the log stays.
        A ``KeyboardInterrupt`` (how Ray cancels a task) ends the job's process tree first.

        Raises:
            ExecutionError: The job could not be started.
            AgentLostError: The agent died under it.
        """
        request = {
            "op": "run",
            "command": command.to_dict(),
            "cwd": str(cwd),
            "env": dict(env),
            "log": str(log),
            "python": python,
            "search_path": None if search_path is None else str(search_path),
            "programs": programs,
            "plan": None if plan is None else str(plan),
            "members": None if members is None else str(members),
            "append": append,
        }
        self._send(request)
        pid = None
        try:
            while True:
                reply = self._receive()
                if reply["op"] == "started":
                    pid = reply["pid"]
                elif reply["op"] == "failed":
                    raise ExecutionError(reply["error"])
                else:
                    return _ended(reply)
        except KeyboardInterrupt:
            self._cancel()
            raise
        except AgentLostError:
            if pid is not None:
                processtree.kill_group(pid, signal.SIGKILL)
            raise

    def _cancel(self) -> None:
        """End the running job and wait until it is gone."""
        with contextlib.suppress(AgentLostError):
            self._send({"op": "cancel"})
            while self._receive()["op"] != "ended":
                pass

    def _send(self, message: Mapping[str, Any]) -> None:
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            # what was started forks the agent and ends, so that the agent is nobody's child
            process.wait()
        except OSError as exc:
            self._forget()
            raise AgentLostError("the process that starts jobs on this node died") from exc

    def _forget(self) -> None:
        """Close the pipes of an agent that died; the next job gets a new one."""
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with contextlib.suppress(OSError):
                    pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._buffer = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "snakemake_repro.agent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return self._process

    def _receive(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([fd], [], [], _POLL_S)
            if not ready:
                continue
            chunk = os.read(fd, 1 << 16)
            if not chunk:
                self._forget()
                raise AgentLostError("the process that starts jobs on this node died")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply


def _ended(reply: Mapping[str, Any]) -> Ended:
    user, system, max_rss_kb, blocks_in, blocks_out = reply["use"]
    use = ResourceUse(
        wall_s=round(reply["wall"], 6),
        cpu_user_s=round(user, 6),
        cpu_system_s=round(system, 6),
        max_rss_mb=round(max_rss_kb / 1024, 3),
        # getrusage(2) counts blocks of 512 bytes
        read_mb=round(blocks_in / 2048, 3),
        written_mb=round(blocks_out / 2048, 3),
    )
    return Ended(status=reply["status"], use=use)
