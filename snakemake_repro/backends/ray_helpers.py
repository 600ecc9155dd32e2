"""Helpers of a job as Ray's actors: each holds a program, and carries what it says and hears."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from snakemake_repro.backends import processtree
from snakemake_repro.backends.ray_settings import make_directory
from snakemake_repro.errors import ReproError
from snakemake_repro.records.tasks import Launch, Wish

Prepare: TypeAlias = Callable[[bytes], contextlib.AbstractContextManager[Launch]]

_PREFIX = "repro-helpers"
_CHUNK = 1 << 16
_POLL_S = 0.2
_PATIENCE_S = 5.0
_CALLS = 4
"""Of an actor at the same time: one reads, one writes, one ends."""


class Desk:
    """Where a job asks for helpers: a socket that only its user can reach.

    A job writes a ``Wish`` as a line of JSON and reads a line when the helper is there: ``node``,
    or a ``problem``. From then on the connection is the program's standard input and output; its
    end on either side is the end of the other.
    """

    def __init__(
        self,
        prepare: Prepare,
        payload: Callable[[Wish], bytes],
        *,
        most: int,
        labels: Mapping[str, str],
    ) -> None:
        """Prepare it.

        Args:
            prepare: Gives what starts a helper, on its node; pickled by reference.
            payload: Makes what ``prepare`` takes.
            most: Helpers that the job may have at the same time.
            labels: That the helpers' nodes are to have.
        """
        self._prepare = prepare
        self._payload = payload
        self._labels = dict(labels)
        self._room = threading.BoundedSemaphore(most)
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> str:
        """Listen; return where."""
        self._directory = make_directory(_PREFIX)
        path = str(self._directory / "desk")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._listener.settimeout(_POLL_S)
        self._start(self._accept)
        return path

    def __exit__(self, *_: object) -> None:
        """End all helpers."""
        self._closing.set()
        for thread in self._threads:
            thread.join(2 * _PATIENCE_S)
        self._listener.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _start(self, function: Callable[..., None], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=function, args=args, name="repro-helper", daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        """Carry what a job and one helper of it say to each other."""
        with connection, contextlib.suppress(OSError):  # the job has gone
            connection.settimeout(_PATIENCE_S)
            wish = Wish.from_dict(json.loads(connection.makefile("rb").readline()))
            connection.settimeout(None)
            while not self._room.acquire(timeout=_POLL_S):
                if self._closing.is_set() or _hung_up(connection):
                    return
            try:
                self._help(connection, wish)
            finally:
                self._room.release()

    def _help(self, connection: socket.socket, wish: Wish) -> None:
        import ray

        actor = ray.remote(_Helper).options(
            num_cpus=wish.cpus,
            num_gpus=wish.gpus,
            label_selector=self._labels or None,
            max_concurrency=_CALLS,
        )
        helper = actor.remote(self._prepare, self._payload(wish))
        hearing: threading.Thread | None = None
        try:
            begun = helper.begin.remote()
            while not ray.wait([begun], timeout=_POLL_S)[0]:
                if self._closing.is_set() or _hung_up(connection):
                    return
            _say(connection, ray.get(begun))
            hearing = self._start(self._hear, connection, helper)
            while data := ray.get(helper.read.remote()):
                connection.sendall(data)
            ray.get(helper.end.remote(), timeout=_PATIENCE_S)
        except ray.exceptions.RayError:
            return  # it is lost: the job hears of it by the end of the connection
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            ray.kill(helper)
            if hearing is not None:
                hearing.join()

    def _hear(self, connection: socket.socket, helper: Any) -> None:
        """Carry what a job says."""
        import ray

        with contextlib.suppress(OSError, ray.exceptions.RayError):
            while not self._closing.is_set():
                if not select.select([connection], [], [], _POLL_S)[0]:
                    continue
                if not (data := connection.recv(_CHUNK)):
                    break
                ray.get(helper.write.remote(data))
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(helper.end.remote(), timeout=_PATIENCE_S)


class _Helper:
    """A program on a node, in an actor."""

    def __init__(self, prepare: Prepare, payload: bytes) -> None:
        self._prepare, self._payload = prepare, payload
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def begin(self) -> dict[str, str]:
        """Start the program; return the name of the node, or the problem with it."""
        try:
            launch = self._stack.enter_context(self._prepare(self._payload))
            with Path(launch.log).open("ab") as log:
                self._process = subprocess.Popen(
                    launch.argv,
                    cwd=launch.directory,
                    env=dict(launch.environ),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
        except ReproError as exc:
            return {"problem": exc.message}
        except OSError as exc:
            return {"problem": f"{exc.filename}: {exc.strerror}"}
        return {"node": socket.gethostname()}

    def read(self) -> bytes:
        """Wait for what the program says; nothing is its end."""
        if self._process is None:
            return b""
        assert self._process.stdout is not None
        return os.read(self._process.stdout.fileno(), _CHUNK)

    def write(self, data: bytes) -> None:
        """Let the program hear something."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end is read
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def end(self) -> None:
        """End the program, which does so by itself when it hears nothing more."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                assert self._process.stdin is not None
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()
                try:
                    self._process.wait(_PATIENCE_S / 2)
                except subprocess.TimeoutExpired:
                    processtree.kill_group(self._process.pid, signal.SIGKILL)
                    self._process.wait()
            self._stack.close()


def _say(connection: socket.socket, message: Mapping[str, str]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _hung_up(connection: socket.socket) -> bool:
    """Tell whether the other side has gone, without taking what it said."""
    if not select.select([connection], [], [], 0)[0]:
        return False
    return not connection.recv(1, socket.MSG_PEEK)
