"""Real servers for tests, which can go away and come back."""

from __future__ import annotations

import contextlib
import http
import http.client
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Self

_START_S = 90.0


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MlflowServer:
    """``mlflow server`` with SQLite on a free port of the loopback interface."""

    def __init__(self, root: Path) -> None:
        """Choose a port; nothing is started yet."""
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def files(self) -> Path:
        """Where it keeps everything."""
        return self._root

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{self._root / 'mlflow.db'}"),
            *("--artifacts-destination", str(self._root / "artifacts")),
        ]
        quiet = {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            # seven processes that wait for jobs of its own, a third of a core together
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        with (self._root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._root,
                env={**os.environ, **quiet},
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self._root / "server.log").read_text()
            assert time.monotonic() < deadline, (self._root / "server.log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it and all its workers, without notice."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
            try:
                connection.request("GET", "/health")
                return connection.getresponse().status == http.HTTPStatus.OK
            finally:
                connection.close()
        except (http.client.HTTPException, OSError):
            return False


@contextlib.contextmanager
def s3_server(log: Path) -> Iterator[str]:
    """Give the address of a server that speaks S3 and forgets all at the end.

    Args:
        log: What it says.
    """
    port = free_port()
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _START_S
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class LossyProxy:
    """Stands before a server and loses answers to creations, as a network does.

    Attributes:
        lost: How many creations came through whose answer was lost.
    """

    def __init__(self, port: int, *, every: int) -> None:
        """Lose every so-many-th answer; nothing listens yet."""
        self.lost = 0
        self._port, self._every = port, every
        self._creations = 0
        self._lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, answer = proxy._ask(self.command, self.path, self.headers, body)
                if proxy._loses(self.path):
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _ask(
        self, method: str, path: str, headers: Message, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            kept = {name: value for name, value in headers.items() if name.lower() != "host"}
            connection.request(method, path, body, kept)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _loses(self, path: str) -> bool:
        if not path.endswith("/runs/create"):
            return False
        with self._lock:
            self._creations += 1
            loses = self._creations % self._every == 1
            self.lost += loses
            return loses

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
