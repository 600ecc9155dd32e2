"""`repro diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from snakemake_repro.logic.comparison import Comparison
    from snakemake_repro.operations.access import Place

_EXIT = {"different": _command.DIFFERS, "undecided": _command.UNDECIDED}


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("a", required=False, metavar="[A]")
@click.argument("b", default="latest", metavar="[B]")
@click.option("--all", "everything", is_flag=True, help="Show every difference in full.")
@_command.record_options
def diff(*, a: str | None, b: str, everything: bool, place: Place, as_json: bool) -> int:
    """Say where two runs part, and why.

    A and B are runs as `repro report` takes them; B is the latest run and A the one before B
    unless they are named. Results that a run reused count as what the earlier run made them of.

    The first divergence comes first: code with the lines that differ, parameters, bytes of
    inputs, packages, images, configuration; or nothing of all that, and the job is not
    deterministic. Jobs that only read what other jobs changed are summed up.

    Exits with 1 when any output differs or was made in one run only, and with 2 when files cannot
    be compared.
    """
    from snakemake_repro.cli import _terminal
    from snakemake_repro.operations import access, compare

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        new = access.find_run(index, b, place.workdir)
        old = (
            access.run_before(index, new) if a is None else access.find_run(index, a, place.workdir)
        )
    return told(compare.compare_runs(index, old, new), everything=everything, as_json=as_json)


def told(comparison: Comparison, *, everything: bool, as_json: bool) -> int:
    """Print a comparison; return the exit code that says what it came to."""
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"comparison": comparison})
    else:
        from snakemake_repro.cli import _terminal
        from snakemake_repro.cli._diff import render

        render(comparison, _terminal.console(), everything=everything)
    return _EXIT.get(comparison.likeness.value, _command.OK)
