"""Helpers of a job as Ray's actors: each holds a program, and carries what it says and hears."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from snakemake_repro.backends import processtree
from snakemake_repro.backends.ray_parts import living
from snakemake_repro.backends.ray_settings import make_directory
from snakemake_repro.errors import ReproError
from snakemake_repro.records.tasks import Node, Wish


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """How a helper is started on its node.

    Attributes:
        argv: The program with its arguments.
        environ: All its variables.
        directory: Where it starts, absolute.
        log: File for what it prints besides its answers, absolute.
    """

    argv: Sequence[str]
    environ: Mapping[str, str]
    directory: str
    log: str


Prepare: TypeAlias = Callable[[bytes], contextlib.AbstractContextManager[Launch]]

_PREFIX = "repro-helpers"
_CHUNK = 1 << 16
_POLL_S = 0.2
_END_S = 5.0
"""For a program to end its trial and itself; more than a trial is given."""
_PATIENCE_S = 10.0
"""For all helpers of a job to end; nodes may have gone."""
_CALLS = 4
"""Of an actor at the same time: one begins, one reads, one writes, one ends."""


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
        accelerators: Callable[[Sequence[Node]], Mapping[str, float]],
    ) -> None:
        """Prepare it.

        Args:
            prepare: Gives what starts a helper, on its node; pickled by reference.
            payload: Makes what ``prepare`` takes; may raise a ``ReproError``.
            most: Helpers that the job may have at the same time.
            labels: That the helpers' nodes are to have.
            accelerators: Of the kind that helpers with GPUs are to have, as the nodes call them.
        """
        self._prepare = prepare
        self._payload = payload
        self._labels = dict(labels)
        self._accelerators = accelerators
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
        """End all helpers; a node that does not answer is not waited for."""
        self._closing.set()
        deadline = time.monotonic() + _PATIENCE_S
        try:
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        finally:
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
                if self._done(connection):
                    return
            try:
                self._help(connection, wish)
            except ReproError as exc:
                _say(connection, {"problem": exc.message})
            finally:
                self._room.release()

    def _help(self, connection: socket.socket, wish: Wish) -> None:
        import ray

        payload = self._payload(wish)
        accelerators = self._accelerators(living(ray.nodes())) if wish.gpus else {}
        actor = ray.remote(_Helper).options(
            num_cpus=wish.cpus,
            num_gpus=wish.gpus,
            resources=dict(accelerators) or None,
            label_selector=self._labels or None,
            max_concurrency=_CALLS,
        )
        helper = actor.remote(self._prepare)
        try:
            begun = helper.begin.remote(payload)
            while not ray.wait([begun], timeout=_POLL_S)[0]:
                if self._done(connection):
                    return
            try:
                answer = ray.get(begun)
            except ray.exceptions.RayError as exc:
                answer = {"lost": (str(exc).strip() or type(exc).__name__).splitlines()[-1]}
            try:
                _say(connection, answer)
                if "node" in answer:
                    self._carry(connection, helper)
            finally:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.get(helper.end.remote(), timeout=2 * _END_S)
        finally:
            ray.kill(helper)

    def _carry(self, connection: socket.socket, helper: Any) -> None:
        import ray

        hearing = self._start(self._hear, connection, helper)
        try:
            while data := ray.get(helper.read.remote()):
                connection.sendall(data)
        except ray.exceptions.RayError:
            return  # it is lost: the job hears of it by the end of the connection
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            hearing.join()

    def _hear(self, connection: socket.socket, helper: Any) -> None:
        """Carry what a job says, and let its silence end the program."""
        import ray

        with contextlib.suppress(OSError, ray.exceptions.RayError):
            while not self._closing.is_set():
                if not select.select([connection], [], [], _POLL_S)[0]:
                    continue
                if not (data := connection.recv(_CHUNK)):
                    break
                ray.get(helper.write.remote(data))
        try:
            ray.get(helper.end.remote(), timeout=2 * _END_S)
        except ray.exceptions.RayError:
            ray.kill(helper)  # else nobody reads its end

    def _done(self, connection: socket.socket) -> bool:
        """Tell whether nobody waits for a helper any more, without taking what was said."""
        if self._closing.is_set():
            return True
        if not select.select([connection], [], [], 0)[0]:
            return False
        return not connection.recv(1, socket.MSG_PEEK)


class _Helper:
    """A program on a node, in an actor.

    The program forks itself off: Ray kills the children of its workers, and who is killed cannot
    end what it has started. So only the end of its output tells that it has gone.
    """

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._silent = threading.Event()
        self._reading, self._ending = threading.Lock(), threading.Lock()

    def begin(self, payload: bytes) -> dict[str, str]:
        """Start the program; return the name of the node, or the problem with it."""
        try:
            launch = self._stack.enter_context(self._prepare(payload))
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
        assert self._process is not None
        assert self._process.stdout is not None
        with self._reading:
            return self._take(self._process.stdout.fileno())

    def write(self, data: bytes) -> None:
        """Let the program hear something."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # its end is read
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def end(self) -> None:
        """End the program, which does so by itself when it hears nothing more."""
        with self._ending:
            if self._process is not None:
                assert self._process.stdin is not None
                assert self._process.stdout is not None
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()
                self._drain(self._process.stdout.fileno())
                if not self._silent.is_set():
                    processtree.kill_group(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._stack.close()

    def _drain(self, output: int) -> None:
        """Wait for the end of what the program says, of which nothing is wanted any more."""
        deadline = time.monotonic() + _END_S
        while not self._silent.is_set() and time.monotonic() < deadline:
            if self._reading.acquire(timeout=_POLL_S):
                try:
                    if select.select([output], [], [], _POLL_S)[0]:
                        self._take(output)
                finally:
                    self._reading.release()

    def _take(self, output: int) -> bytes:
        data = os.read(output, _CHUNK)
        if not data:
            self._silent.set()
        return data


def _say(connection: socket.socket, message: Mapping[str, str]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")
