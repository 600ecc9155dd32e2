"""`repro log`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from rich.text import Text

    from snakemake_repro.logic.overview import RunLine
    from snakemake_repro.operations.access import Place

_STYLES = {"succeeded": "green", "failed": "red", "interrupted": "yellow"}


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Show at most N runs.",
)
@_command.record_options
def log(*, limit: int, place: Place, as_json: bool) -> int:
    """List runs, newest first."""
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.operations import access
    from snakemake_repro.operations.log import log

    with _terminal.progress("reading the record") as progress:
        lines = log(access.open_record(place, progress), limit)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"runs": lines})
        return _command.OK
    table = _terminal.table(
        "run",
        "started",
        "status",
        ("jobs", "right"),
        ("reused", "right"),
        ("failed", "right"),
        ("commit", "fold"),
    )
    for line in lines:
        table.add_row(
            _terminal.plain(_text.short(line.id), "bold"),
            _text.moment(line.started, brief=True),
            _terminal.plain(line.status or "no end", _STYLES.get(line.status or "", "yellow")),
            f"{line.jobs:,}",
            f"{line.reused:,}",
            f"{line.failed:,}",
            _commit(line),
        )
    _terminal.console().print(table)
    return _command.OK


def _commit(line: RunLine) -> Text:
    from snakemake_repro.cli import _terminal

    if not line.under_git:
        return _terminal.plain("not under git", "yellow")
    commit = _terminal.plain((line.commit or "none")[:8])
    if line.dirty:
        commit.append(" dirty", style="yellow")
    return commit
