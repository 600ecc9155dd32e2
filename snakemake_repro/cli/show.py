"""`repro show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from snakemake_repro.operations.access import Place


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("run", default="latest", metavar="[RUN]")
@click.option(
    "--job",
    metavar="JOB",
    help="Everything about one job: a rule, a rule with its wildcards, or an attempt's id.",
)
@click.option("--diff", "patch", is_flag=True, help="Print the uncommitted changes of the run.")
@click.option("--all", "everything", is_flag=True, help="List every attempt.")
@_command.record_options
def show(
    *, run: str, job: str | None, patch: bool, everything: bool, place: Place, as_json: bool
) -> int:
    """Show the record of a run as it is: every attempt, failed and reused ones too.

    RUN is a run as `repro report` takes it. With --json everything that is on record of the run is
    printed; the reference of the record describes the fields.
    """
    from snakemake_repro.cli import _terminal
    from snakemake_repro.operations import access, show

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        history = show.show(index, access.find_run(index, run, place.workdir), job)
    if patch:
        click.echo(show.stored_diff(history), nl=False)
    elif as_json:
        from snakemake_repro.cli._json import emit

        emit({"run": history})
    else:
        from snakemake_repro.cli import _show

        if job is None:
            _show.attempts(history, _terminal.console(), everything=everything)
        else:
            _show.details(history, _terminal.console())
    return _command.OK
