"""`repro verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from snakemake_repro.logic.rebuilds import Rebuild
    from snakemake_repro.operations.access import Place
    from snakemake_repro.operations.verify import Verification


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("names", nargs=-1, metavar="[RUN | FILE...]")
@click.option(
    "--rebuild",
    is_flag=True,
    help="Execute jobs again in a scratch directory, and compare what they write: those of a RUN, "
    "the one that made a FILE, or those of a rule.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --rebuild: only N jobs, chosen at random.",
)
@click.option("--all", "everything", is_flag=True, help="List identical files too.")
@_command.record_options
def verify(
    *,
    names: tuple[str, ...],
    rebuild: bool,
    sample: int | None,
    everything: bool,
    place: Place,
    as_json: bool,
) -> int:
    """Compare the bytes on disk with the record.

    Of a RUN (`latest` by default) every input and every output is compared. A FILE is compared
    with what is on record of it last; a directory stands for every recorded file below it.

    The files need not be where the run was: `repro verify --store /first/clone RUN` compares the
    files here with the record of a run there.

    With --rebuild, each job runs again from its recorded commit, inputs and locks, and every
    output must come out byte for byte. Nothing here is written to.

    Exits with 1 when a file differs or is missing or a job fails, and with 2 when nothing differs
    but a file is not in the record or cannot be read, or a job could not be tried.
    """
    from snakemake_repro.errors import UsageError

    if rebuild:
        return _rebuild(names, sample, place, everything=everything, as_json=as_json)
    if sample is not None:
        raise UsageError("--sample is given without --rebuild", hint="Add --rebuild.")
    from snakemake_repro.cli import _terminal
    from snakemake_repro.operations import access, verify

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        run_id = access.named_run(index, names)
    with _terminal.progress("comparing") as progress:
        if run_id is not None:
            verification = verify.verify_run(index, run_id, place.workdir, progress)
        else:
            verification = verify.verify_files(index, names, place.workdir, progress)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"verification": verification, "counts": verification.counts})
    else:
        from snakemake_repro.cli._verify import render

        render(verification, _terminal.console(), everything=everything)
    return _exit_code(verification)


def _rebuild(
    names: tuple[str, ...], sample: int | None, place: Place, *, everything: bool, as_json: bool
) -> int:
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.operations import access
    from snakemake_repro.operations.rebuild import rebuild, what_to_rebuild

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        # a rule with its wildcards is several words
        run_id, target = what_to_rebuild(index, " ".join(names) or None, place.workdir)
    rebuilt = rebuild(
        index,
        run_id,
        place.workdir,
        target,
        sample=sample,
        progress=lambda rule, count: click.echo(
            f"Executing {_text.count(count, 'job')} of rule {_text.name(rule)} again.", err=True
        ),
    )
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"rebuild": rebuilt, "counts": rebuilt.counts})
    else:
        from snakemake_repro.cli._rebuild import render

        render(rebuilt, _terminal.console(), everything=everything)
    return _exit_code(rebuilt)


def _exit_code(found: Verification | Rebuild) -> int:
    if found.differs:
        return _command.DIFFERS
    return _command.UNDECIDED if found.undecided else _command.OK
