"""Terminal output through rich: sober, aligned, and inert whatever a name holds.

Every text goes through ``rich.text.Text``, never through markup.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from snakemake_repro.cli import _text
from snakemake_repro.records import Digest

INDENT = 2


class _Pipe(Console):
    def on_broken_pipe(self) -> None:
        """Leave the end of the reader to the command."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Return a console that interprets nothing in the text it is given."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return _Pipe(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)


def name(text: str | None, style: str = "") -> Text:
    """Return a file or rule name; it is broken anywhere rather than cut."""
    return Text("-" if text is None else _text.name(text), style=style, overflow="fold")


def plain(text: str, style: str = "") -> Text:
    """Return a text that is not a name."""
    return Text(_text.inert(text), style=style)


def digest(value: Digest | None) -> Text:
    """Return the first characters of a digest."""
    return Text("-" if value is None else value.short, style="cyan", no_wrap=True)


def heading(text: str, detail: str = "") -> Text:
    """Return the title of a section."""
    return Text.assemble("\n", (text, "bold"), (f"  {detail}" if detail else "", "dim"))


def indented(what: RenderableType) -> Padding:
    """Return something under a heading."""
    return Padding(what, (0, 0, 0, INDENT), expand=False)


def rest(found: Sized, shown: Sized, what: str, where: str = "") -> Iterator[Text]:
    """Yield how many things are left out, where some are, and how they are seen."""
    left = len(found) - len(shown)
    if left:
        yield Text(f"and {_text.count(left, f'more {what}')}{where} (--all)", style="dim")


def table(*columns: str | tuple[str, str]) -> Table:
    """Return an empty table; a column is a title, or a title and ``right`` or ``fold``.

    Columns that are marked ``fold`` give way where the terminal is narrow.
    """
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in columns:
        title, kind = (column, "") if isinstance(column, str) else column
        made.add_column(
            title,
            justify="right" if kind == "right" else "left",
            no_wrap=kind != "fold",
            overflow="fold",
        )
    return made


def facts(rows: Sequence[tuple[str, RenderableType]]) -> Table:
    """Return labels with what they say."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for label, what in rows:
        made.add_row(label, what)
    return made


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something has come, on a terminal and when it takes a moment."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=None, visible=False)

        def moved(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=done < total)

        yield moved


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal that something goes on."""
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(Text(f"{what} ...")):
        yield
