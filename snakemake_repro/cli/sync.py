"""`repro sync`."""

from __future__ import annotations

from pathlib import Path

import click

from snakemake_repro.cli import _command


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=None,
    metavar="SECONDS",
    help="Give up waiting for a recorder that is at it after SECONDS.  [default: never]",
)
@click.option(
    "--tracking-uri",
    metavar="URI",
    help="Deliver every run to this MLflow server or store instead.",
)
@_command.workdir_option
@_command.output_options
def sync(*, wait: float | None, tracking_uri: str | None, workdir: Path, as_json: bool) -> int:
    """Deliver what has not reached MLflow yet.

    A run delivers its record by itself while it goes on and for a moment after. What an
    unreachable server or a killed process left behind is delivered here, once. Exits with 1 when
    something is left, or when a record cannot be read.
    """
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.operations.sync import sync

    with _terminal.waiting("delivering"):
        result = sync(workdir, wait=wait, tracking_uri=tracking_uri)
    complete = not result.pending.runs and not result.damaged
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"sync": result, "complete": complete})
        return _command.OK if complete else _command.DIFFERS
    console = _terminal.console()
    for run_id in result.delivered:
        console.print(_terminal.plain(f"Run {_text.short(run_id)} is delivered."))
    for run_id, reason in result.damaged.items():
        console.print(_terminal.plain(f"Run {_text.short(run_id)} cannot be read: {reason}", "red"))
    if result.pending.runs:
        left = result.pending
        console.print(
            _terminal.plain(
                f"{left.runs:,} runs with {left.jobs:,} attempts are still on their way: they go "
                "on, or somebody else is delivering them.",
                "yellow",
            )
        )
    elif not result.delivered and not result.damaged:
        console.print(_terminal.plain("Everything has been delivered before."))
    return _command.OK if complete else _command.DIFFERS
