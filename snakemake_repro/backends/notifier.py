"""Tell somebody: a webhook, a program, or whoever sits at the screen."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from urllib.parse import urlsplit

from snakemake_repro.errors import NotificationError, UsageError
from snakemake_repro.records import Json

_DESKTOP = "desktop"
_PROGRAM = "notify-send"
_WEB = ("http", "https")
_VARIABLES = {"REPRO_RUN": "run", "REPRO_STATUS": "status", "REPRO_TEXT": "text"}
_OK = range(200, 300)


class Notifier:
    """One receiver of notifications."""

    def __init__(self, receiver: str) -> None:
        """Look at a receiver; nothing is sent.

        Args:
            receiver: ``desktop``, an http(s) URL, or a command line, which no shell reads.

        Raises:
            UsageError: There is no such program.
        """
        self._url = receiver if urlsplit(receiver).scheme in _WEB else None
        self._desktop = receiver == _DESKTOP
        self._argv: list[str] = []
        if self._url is None:
            try:
                self._argv = [_PROGRAM] if self._desktop else shlex.split(receiver)
            except ValueError as exc:
                raise UsageError(f"--ray-notify is {receiver!r}: {exc}") from exc
            if not self._argv or shutil.which(self._argv[0]) is None:
                name = self._argv[0] if self._argv else ""
                raise UsageError(
                    f"--ray-notify needs the program {name!r}, which is not on PATH",
                    hint="It takes a command, an http(s) URL, or `desktop`, which needs "
                    f"{_PROGRAM} (libnotify).",
                )

    def send(self, message: Mapping[str, Json], *, seconds: float) -> None:
        """Send a message.

        A webhook gets it as JSON, whose ``text`` chat servers show; a program on its standard
        input, and ``run``, ``status`` and ``text`` as variables; the desktop shows its text.

        Args:
            message: Plain data with at least ``text``.
            seconds: How long the receiver may take.

        Raises:
            NotificationError: It did not take the message.
        """
        if self._url is not None:
            _post(self._url, message, seconds)
            return
        argv = [*self._argv, "Snakemake", str(message["text"])] if self._desktop else self._argv
        variables = {name: str(message[key]) for name, key in _VARIABLES.items() if key in message}
        try:
            subprocess.run(
                argv,
                input=json.dumps(message).encode(),
                env={**os.environ, **variables},
                check=True,
                timeout=seconds,
                # its words would stand among those of Snakemake
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except subprocess.TimeoutExpired as exc:
            raise NotificationError(f"{argv[0]} did not end within {seconds:g} s") from exc
        except subprocess.CalledProcessError as exc:
            said = exc.stderr.decode(errors="replace").strip().splitlines()
            last = f": {said[-1]}" if said else ""
            raise NotificationError(f"{argv[0]} ended with status {exc.returncode}{last}") from exc
        except OSError as exc:
            raise NotificationError(f"{argv[0]} cannot be started: {exc.strerror}") from exc


def _post(url: str, message: Mapping[str, Json], seconds: float) -> None:
    import requests

    # the path of a webhook is its password: only the host is ever named
    host = urlsplit(url).hostname
    try:
        answer = requests.post(url, json=message, timeout=seconds, allow_redirects=False)
    except requests.RequestException as exc:
        raise NotificationError(f"{host} did not answer ({type(exc).__name__})") from None
    if answer.status_code not in _OK:
        raise NotificationError(f"{host} answered with status {answer.status_code}")
