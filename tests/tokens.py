"""A server that gives tokens for a registry, as public ones have it."""

from __future__ import annotations

import base64
import http
import http.server
import json
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from containers import BASIC

SERVICE, ISSUER = "lab-registry", "lab-tokens"


class TokenServer:
    """Gives whoever knows ``USER`` and ``PASSWORD`` a token to pull.

    Attributes:
        certificate: By which a registry knows the tokens.
        realm: Where they are to be had.
    """

    def __init__(self, root: Path) -> None:
        """Make a key; nothing is served yet."""
        root.mkdir(parents=True, exist_ok=True)
        self.certificate, self._key = root / "tokens.crt", root / "tokens.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab"),
                *("-keyout", str(self._key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers.get("Authorization") == f"Basic {BASIC}"
                query = parse_qs(urlsplit(self.path).query)
                answer = {"token": server.token(query)} if known else {"details": "who are you?"}
                body = json.dumps(answer).encode()
                self.send_response(http.HTTPStatus.OK if known else http.HTTPStatus.UNAUTHORIZED)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.realm = f"http://127.0.0.1:{self._server.server_address[1]}/token"

    def token(self, query: dict[str, list[str]]) -> str:
        """Sign what a registry asked for."""
        kind, name, actions = query["scope"][0].split(":")
        pem = self.certificate.read_text().splitlines()
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(pem[1:-1])]}
        claims = {
            "iss": ISSUER,
            "sub": "lab",
            "aud": query["service"][0],
            "jti": uuid.uuid4().hex,
            "iat": now,
            "nbf": now - 60,
            "exp": now + 300,
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        text = f"{_encoded(_json(head))}.{_encoded(_json(claims))}"
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self._key)],
            input=text.encode(),
            check=True,
            capture_output=True,
        )
        return f"{text}.{_encoded(signed.stdout)}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
