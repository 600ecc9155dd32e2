"""Words for people: names made inert, times, sizes and numbers.

Nothing here imports rich: error messages must be quick.
"""

from __future__ import annotations

from datetime import UTC, datetime

from snakemake_repro.logic.inert import escaped, inert
from snakemake_repro.records import MIN_PREFIX

__all__ = ["age", "count", "duration", "inert", "moment", "name", "short", "size", "span", "value"]

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_KIB = 1024.0
_LARGE = 10_000
_EXACT = 1e15
"""Below it a float holds every integer."""


def name(text: str) -> str:
    """Return a file or rule name, quoted as a shell would read it where it holds odd characters.

    A name that is all printable is shown as it is, spaces included.
    """
    if text.isprintable() and text == text.strip() and text:
        return text
    return "$'" + "".join(escaped(c) if _odd(c) else c for c in text) + "'"


def _odd(char: str) -> bool:
    return not char.isprintable() or char in "\\'"


def short(run_id: str) -> str:
    """Return as much of a run's id as may name it."""
    return inert(run_id[:MIN_PREFIX])


def count(number: int, what: str) -> str:
    """Return a number of things."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def moment(at: str, *, brief: bool = False) -> str:
    """Return a moment in local time; brief: to the minute, without the time zone."""
    try:
        local = datetime.fromisoformat(at).astimezone()
        return local.strftime("%Y-%m-%d %H:%M" if brief else "%Y-%m-%d %H:%M:%S %z")
    except (ValueError, OverflowError):
        return inert(at)


def age(at: str | None) -> str:
    """Return how long ago a moment was."""
    if at is None:
        return ""
    try:
        then = datetime.fromisoformat(at)
        passed = (datetime.now(UTC) - then).total_seconds()
    except (ValueError, TypeError):
        return inert(at)
    if passed < 1:
        return "just now"
    return f"{span(passed)} ago"


def span(seconds: float | None) -> str:
    """Return a duration in its largest unit, for ages."""
    if seconds is None:
        return "-"
    for unit, name_ in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit):,} {name_}"
    return f"{int(seconds)} s"


def duration(seconds: float | None) -> str:
    """Return a duration, exact enough for people."""
    if seconds is None:
        return "-"
    if seconds < 10:  # noqa: PLR2004 - seconds
        return f"{seconds:.1f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - minutes
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def size(number: float | None) -> str:
    """Return a size given in bytes."""
    if number is None:
        return "-"
    if number < _KIB:
        return f"{int(number)} B"
    for unit in ("KiB", "MiB", "GiB"):
        number /= _KIB
        if number < _KIB:
            return f"{number:.1f} {unit}"
    return f"{number / _KIB:,.1f} TiB"


def value(number: float) -> str:
    """Return a measured number with four significant digits."""
    if abs(number) < _EXACT and number == int(number):
        return f"{int(number):,}" if abs(number) >= _LARGE else f"{int(number)}"
    return f"{number:.4g}"
