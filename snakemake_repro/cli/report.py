"""`repro report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from snakemake_repro.operations.access import Place

_EXIT = {"succeeded": _command.OK, "unfinished": _command.UNDECIDED}


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("run", default="latest", metavar="[RUN]")
@click.option("--all", "everything", is_flag=True, help="List every file instead of summing up.")
@_command.record_options
def report(*, run: str, everything: bool, place: Place, as_json: bool) -> int:
    """Say where a run's results come from.

    RUN is `latest`, the id of a run or its first 8 characters or more, a file (then the run that
    made it), or the first 8 characters or more of a file's SHA-256.

    Exits with 1 when the run failed or was interrupted, and with 2 when its end is not on record.
    """
    from snakemake_repro.cli import _terminal
    from snakemake_repro.operations import access, report

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        run_id = access.find_run(index, run, place.workdir)
    summary = report.report(index, run_id)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"report": summary})
    else:
        from snakemake_repro.cli._report import render

        render(summary, _terminal.console(), everything=everything)
    return _EXIT.get(summary.verdict.value, _command.DIFFERS)
