"""A webhook on loopback that keeps what it is told."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclasses.dataclass(kw_only=True)
class Webhook:
    """A server that runs.

    Attributes:
        status: What it answers.
        messages: What it was told.
    """

    url: str = ""
    status: int = 200
    messages: list[Any] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def webhook(path: str = "/hook") -> Iterator[Webhook]:
    """Serve until the context ends."""
    found = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.messages.append((self.path, json.loads(body)))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}{path}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
