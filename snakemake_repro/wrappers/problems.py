"""Say on one line what a wrapper cannot work with, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from snakemake_repro.errors import ReproError, UsageError


class WrapperError(UsageError):
    """A rule gave a wrapper something that it cannot work with."""


@contextmanager
def one_line(wrapper: str) -> Iterator[None]:
    """End the job with one line for everything that we raise on purpose.

    Other exceptions pass, with their traceback: they are bugs, ours or a library's.

    Args:
        wrapper: Name of the wrapper, such as ``xgboost/train``.

    Raises:
        SystemExit: With the line as its message, which Python prints on standard error.
    """
    try:
        yield
    except ReproError as exc:
        text = f"{wrapper}: {exc.message}"
        if exc.hint is not None:
            text += f" ({exc.hint})"
        raise SystemExit(" ".join(text.split())) from None


def suggest(name: str, known: Iterable[str]) -> str | None:
    """Return a hint that names what was probably meant, or ``None``."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else None


def check_names(own: Iterable[str], known: Collection[str], what: str) -> None:
    """Check that all parameters are among the known ones, which the message lists in their order.

    Raises:
        WrapperError: One is not.
    """
    for name in own:
        if name not in known:
            raise WrapperError(
                f"params: {what} has no parameter {name!r}: expected "
                f"{'one of ' if known else ''}{listed(known, limit=60)}",
                hint=suggest(name, known),
            )


def listed(names: Iterable[object], limit: int = 12) -> str:
    """Return names for a message, cut after ``limit`` of them."""
    texts = [str(name) for name in names]
    if len(texts) > limit:
        return f"{', '.join(texts[:limit])} and {len(texts) - limit} more"
    return ", ".join(texts) or "none"
