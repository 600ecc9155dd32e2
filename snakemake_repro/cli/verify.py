"""`repro verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from snakemake_repro.operations.access import Place


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("names", nargs=-1, metavar="[RUN | FILE...]")
@click.option("--all", "everything", is_flag=True, help="List identical files too.")
@_command.record_options
def verify(*, names: tuple[str, ...], everything: bool, place: Place, as_json: bool) -> int:
    """Compare the bytes on disk with the record.

    Of a RUN (`latest` by default) every input and every output is compared. A FILE is compared
    with what is on record of it last; a directory stands for every recorded file below it.

    The files need not be where the run was: `repro verify --store /first/clone RUN` compares the
    files here with the record of a run there.

    Exits with 1 when a file differs or is missing, and with 2 when nothing differs but a file is
    not in the record or cannot be read.
    """
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
    if verification.differs:
        return _command.DIFFERS
    return _command.UNDECIDED if verification.undecided else _command.OK
