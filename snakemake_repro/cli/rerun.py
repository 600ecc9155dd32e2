"""`repro rerun`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command
from snakemake_repro.cli.diff import told

if TYPE_CHECKING:
    from snakemake_repro.logic.comparison import Comparison
    from snakemake_repro.operations.access import Place


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("run", default="latest", metavar="[RUN|CRATE]")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED, metavar="[-- SNAKEMAKE ARGS]")
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Repeat it in DIR, which must not be there yet, and leave it there.",
)
@click.option("--all", "everything", is_flag=True, help="Show every difference in full.")
@_command.record_options
def rerun(
    *,
    run: str,
    extra: tuple[str, ...],
    keep: Path | None,
    everything: bool,
    place: Place,
    as_json: bool,
) -> int:
    """Run a recorded run again in a scratch directory, and compare every result.

    The recorded commit is checked out from the repository here, with the uncommitted changes on
    record; inputs and locks are copied from here and must have the recorded SHA-256; the recorded
    command runs. Nothing here is written to. RUN is a run as `repro report` takes it.

    CRATE is a directory or an archive that `repro export --format crate` wrote, perhaps on another
    machine: commit, inputs and record are taken from it alone. What runs is its author's code:
    repeat only what you would run.

    Exits with 1 when a result differs, and with 2 when the run cannot be repeated: it was not
    committed, an input is gone, or its paths lead out of the working directory.
    """
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.operations import access
    from snakemake_repro.operations.crates import is_crate
    from snakemake_repro.operations.rerun import rerun
    from snakemake_repro.operations.scratch import scratch_place

    if is_crate(place.workdir / run):
        comparison = _rerun_crate(place.workdir / run, extra, keep)
        return told(comparison, everything=everything, as_json=as_json)
    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        run_id = access.find_run(index, run, place.workdir)
    with scratch_place(place.workdir.name, keep) as target:
        click.echo(f"Repeating run {_text.short(run_id)} in {_text.name(str(target))}.", err=True)
        comparison = rerun(index, run_id, place.workdir, target, extra)
    return told(comparison, everything=everything, as_json=as_json)


def _rerun_crate(path: Path, extra: tuple[str, ...], keep: Path | None) -> Comparison:
    from snakemake_repro.cli import _text
    from snakemake_repro.operations.crates import open_crate
    from snakemake_repro.operations.rerun import rerun
    from snakemake_repro.operations.scratch import scratch_place

    with open_crate(path) as crate, scratch_place(path.stem, keep) as target:
        run, where = _text.short(crate.run_id), _text.name(str(target))
        click.echo(f"Repeating run {run} of {_text.name(path.name)} in {where}.", err=True)
        return rerun(
            crate.index, crate.run_id, crate.root, target, extra, repository=crate.repository
        )
