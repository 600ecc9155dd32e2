"""What is wrong with a job's function, its parameters or what it returns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN = 20


class JobError(TypeError):
    """A job's function cannot be called as asked, or returned what cannot be recorded."""


def listed(names: Iterable[str]) -> str:
    """Return names for a message, cut after some of them."""
    found = list(names)
    more = len(found) - _SHOWN
    return ", ".join(found[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def suggested(name: str, known: Iterable[str]) -> str:
    """Return, in brackets, what was probably meant; or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
