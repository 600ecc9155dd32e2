"""`repro why`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from snakemake_repro.operations.access import Place


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("name", nargs=-1, required=True, metavar="FILE|JOB")
@click.option("--run", metavar="RUN", help="Explain this run's job.  [default: the latest]")
@click.option("--all", "everything", is_flag=True, help="Show everything in full.")
@_command.record_options
def why(
    *, name: tuple[str, ...], run: str | None, everything: bool, place: Place, as_json: bool
) -> int:
    """Say why a job ran: what had changed since its outputs were made before.

    FILE stands for the job that made it last. JOB is a rule (then all its jobs), a rule with its
    wildcards as in `repro why train model=svm`, or the id of an attempt.

    Every part of the job key is compared: code, parameters, inputs, packages, image,
    configuration, threads. Where inputs changed that other jobs of the run made, it is said why
    these ran. A job that ran although nothing changed was forced, or its output was gone:
    Snakemake's own reason is shown, too. Inputs and outputs that are not on disk as they were then
    are named as well: for them it would run again.
    """
    from snakemake_repro.cli import _terminal
    from snakemake_repro.operations import access, why

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        reasons = why.why(index, " ".join(name), place.workdir, run)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"why": reasons})
    else:
        from snakemake_repro.cli._why import render

        render(reasons, _terminal.console(), everything=everything)
    return _command.OK
