"""Slots on processors that the cluster has left, asked for while a search runs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from snakemake_repro.records.tasks import HELPERS_OFFER, Wish
from snakemake_repro.wrappers.tuning.slots import Assignment, Ending, Report

_PROGRAM = "snakemake_repro.wrappers.tuning.helper"
_AGAIN = 3
"""For each, how many more may be asked for: they may be lost by what the trials do."""


class LostError(Exception):
    """Whoever ran a trial has gone or could not; nothing is known of the trial's end.

    Attributes:
        refusal: Why it could not.
    """

    def __init__(self, refusal: str | None = None) -> None:
        """Take the reason, if there is one."""
        super().__init__(refusal)
        self.refusal = refusal


class FarSlot:
    """Runs one trial at a time, elsewhere."""

    def __init__(self, connection: socket.socket) -> None:
        """Take the connection to a helper that is there."""
        self._connection = connection
        self._lines = connection.makefile("rb")

    def run(self, trial: Assignment, report: Report) -> Ending:
        """Run a trial to its end.

        Raises:
            LostError: The helper was lost, or cannot start the trial.
        """
        self._send(trial.to_json())
        while True:
            reply = self._receive()
            if "report" in reply:
                self._send({"prune": report(*reply["report"])})
            elif "refused" in reply:
                self.close()
                raise LostError(reply["refused"])
            else:
                values = reply["values"]
                return Ending(
                    values=None if values is None else tuple(values), problem=reply["problem"]
                )

    def close(self) -> None:
        """End what runs."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError as exc:
            raise LostError from exc

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as exc:
            raise LostError from exc
        if not line.endswith(b"\n"):
            raise LostError
        reply: dict[str, Any] = json.loads(line)
        return reply


There: TypeAlias = Callable[[FarSlot], None]
"""Takes a helper that is there, from another thread."""


class Helpers:
    """Asks for helpers, each in a thread of its own, and gives them when they are there.

    Attributes:
        offered: How many there may be.
    """

    def __init__(self, *, cpus: int, gpus: int) -> None:
        """See how many there may be; nothing is asked for yet.

        Args:
            cpus: Of each.
            gpus: Of each.
        """
        offer = json.loads(os.environ.pop(HELPERS_OFFER, "null"))  # no trial is to ask
        self.offered = 0 if offer is None else int(offer["most"])
        self._path = "" if offer is None else str(offer["socket"])
        self._wish = Wish(module=_PROGRAM, cpus=cpus, gpus=gpus)
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._most_spare = self._spare = 0
        self._closing = threading.Event()

    def begin(self, count: int, there: There) -> None:
        """Ask for some of them.

        Args:
            count: How many.
            there: Takes each that is there.
        """
        self._most_spare = self._spare = _AGAIN * count
        for _ in range(count):
            self._ask(there)

    def proved(self) -> None:
        """Note that one of them has run a trial to its end: they can be lost as often again."""
        with self._lock:
            self._spare = self._most_spare

    def lost(self, there: There, refusal: str | None = None) -> None:
        """Ask for one in the place of one that was lost, unless that happens too often.

        Args:
            there: Takes it.
            refusal: Why the lost one could not run a trial: another one could not either.
        """
        if refusal is not None:
            _say(refusal)
            return
        with self._lock:
            self._spare -= 1
            again = self._spare >= 0
        if again:
            self._ask(there)
        else:
            _say("too many of them were lost")

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            self._closing.set()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _ask(self, there: There) -> None:
        threading.Thread(target=self._wait, args=(there,), daemon=True).start()

    def _wait(self, there: There) -> None:
        """Ask for one, and wait for it as long as it takes."""
        connection = socket.socket(socket.AF_UNIX)
        with self._lock:
            if self._closing.is_set():
                connection.close()
                return
            self._connections.append(connection)
        try:
            connection.connect(self._path)
            connection.sendall(json.dumps(self._wish.to_dict()).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline() or b"{}")
        except (OSError, ValueError):
            answer = {}
        if "node" in answer:
            there(FarSlot(connection))
        elif self._closing.is_set():
            connection.close()
        elif "problem" in answer:
            _say(answer["problem"])
        else:  # before it was there
            if "lost" in answer:
                _say(answer["lost"])
            self.lost(there)


def _say(problem: str) -> None:
    sys.stderr.write(f"tune: a helper cannot be had: {problem}\n")
