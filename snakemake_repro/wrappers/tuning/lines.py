"""Lines of JSON on the standard streams of a program, kept apart from what it prints."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import IO, Any


def take_streams() -> tuple[IO[str], IO[str]]:
    """Return requests and replies; what is printed from now on goes to the job's log."""
    requests = os.fdopen(os.dup(0))
    replies = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return requests, replies


def send(replies: IO[str], reply: Mapping[str, Any]) -> None:
    """Write one line.

    Raises:
        BrokenPipeError: Nobody reads it.
    """
    replies.write(json.dumps(reply) + "\n")
    replies.flush()
