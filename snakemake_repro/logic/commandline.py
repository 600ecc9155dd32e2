"""Command lines, as far as they are taken apart here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator


def without(words: Iterable[str], dropped: Callable[[str], bool]) -> Iterator[str]:
    """Yield a command line without some options that take a value, and without their values.

    Args:
        words: Of the command line; a value is the next word, or follows an equals sign.
        dropped: Tells which options go.
    """
    rest = iter(words)
    for word in rest:
        option, mark, _ = word.partition("=")
        if not dropped(option):
            yield word
        elif not mark:
            next(rest, None)
