"""`repro verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from snakemake_repro.logic.rebuilds import Rebuild
    from snakemake_repro.logic.variations import Variations
    from snakemake_repro.operations.access import Place
    from snakemake_repro.operations.verify import Verification


_EVERYTHING = "all"
_VARIATIONS = ("threads", "hostname", "hash-seed", "time", "file-order", _EVERYTHING)
"""As ``logic.variations`` knows them, which is not imported to show help."""


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
@click.option(
    "--vary",
    "varied",
    multiple=True,
    type=click.Choice(_VARIATIONS),
    metavar="WHAT",
    help="With --rebuild: do it once more with WHAT changed, to see whether it decides the result "
    f"(may be repeated): {', '.join(_VARIATIONS)}.",
)
@click.option(
    "--signature",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Check the signed statements in FILE instead, as `repro export --format intoto --sign` "
    "writes them, and the files that they are about.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PUB.pem",
    help="With --signature: the public key of who signed.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Believe the digest of an earlier run here for files whose inode, size and times are "
    "still the same; only the others are read.",
)
@click.option("--all", "everything", is_flag=True, help="List identical files too.")
@_command.record_options
def verify(
    *,
    names: tuple[str, ...],
    rebuild: bool,
    sample: int | None,
    varied: tuple[str, ...],
    signature: Path | None,
    key: Path | None,
    quick: bool,
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

    With --vary they run on this machine, first as they were, then with one thing changed each: the
    number of threads, the machine's name, the seed by which Python orders sets, the time zone and
    SOURCE_DATE_EPOCH, the order in which directories list their files.

    With --signature no record is needed: who has the statements, the public key and the files can
    tell that these are the very bytes that were signed for.

    Exits with 1 when a file differs or is missing or a job fails, and with 2 when nothing differs
    but a file is not in the record or cannot be read, or a job could not be tried.
    """
    from snakemake_repro.errors import UsageError

    if (signature is None) is not (key is None):
        raise UsageError(
            "--signature and --key belong together, and one of them is given",
            hint="Give the file with the statements and the public key.",
        )
    if signature is not None and key is not None:
        if names or rebuild or quick:
            raise UsageError("--signature names what is compared, and so do other arguments")
        from snakemake_repro.operations.attested import verify_statements

        found = verify_statements(signature, key, place.workdir)
        return _told(found, everything=everything, as_json=as_json)
    if rebuild and quick:
        raise UsageError("--quick reads no file and --rebuild makes them", hint="Give one of them.")
    if rebuild:
        return _rebuild(names, sample, varied, place, everything=everything, as_json=as_json)
    for flag, given in (("--sample", sample), ("--vary", varied)):
        if given:
            raise UsageError(f"{flag} is given without --rebuild", hint="Add --rebuild.")
    from snakemake_repro.cli import _terminal
    from snakemake_repro.operations import access, verify

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        run_id = access.named_run(index, names)
    cache = verify.remembered(place.workdir) if quick else None
    with _terminal.progress("comparing") as progress:
        if run_id is not None:
            verification = verify.verify_run(index, run_id, place.workdir, progress, cache=cache)
        else:
            verification = verify.verify_files(index, names, place.workdir, progress, cache=cache)
    return _told(verification, everything=everything, as_json=as_json)


def _told(verification: Verification, *, everything: bool, as_json: bool) -> int:
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"verification": verification, "counts": verification.counts})
    else:
        from snakemake_repro.cli import _terminal
        from snakemake_repro.cli._verify import render

        render(verification, _terminal.console(), everything=everything)
    return _exit_code(verification)


def _rebuild(
    names: tuple[str, ...],
    sample: int | None,
    varied: tuple[str, ...],
    place: Place,
    *,
    everything: bool,
    as_json: bool,
) -> int:
    from snakemake_repro.cli import _rebuild, _terminal, _text
    from snakemake_repro.cli._json import emit
    from snakemake_repro.logic.variations import Variation
    from snakemake_repro.operations import access
    from snakemake_repro.operations.rebuild import rebuild, vary, what_to_rebuild

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        # a rule with its wildcards is several words
        run_id, target = what_to_rebuild(index, " ".join(names) or None, place.workdir)

    def executing(rule: str, count: int) -> None:
        text = f"Executing {_text.count(count, 'job')} of rule {_text.name(rule)} again."
        click.echo(text, err=True)

    console = _terminal.console()
    if not varied:
        rebuilt = rebuild(index, run_id, place.workdir, target, sample=sample, progress=executing)
        if as_json:
            emit({"rebuild": rebuilt, "counts": rebuilt.counts})
        else:
            _rebuild.render(rebuilt, console, everything=everything)
        return _exit_code(rebuilt)
    chosen = [one for one in Variation if {one.value, _EVERYTHING} & set(varied)]
    found = vary(
        index, run_id, place.workdir, target, sample=sample, variations=chosen, progress=executing
    )
    if as_json:
        emit({"variations": found, "flips": found.flips})
    else:
        _rebuild.render_variations(found, console, everything=everything)
    return _exit_code(found)


def _exit_code(found: Verification | Rebuild | Variations) -> int:
    if found.differs:
        return _command.DIFFERS
    return _command.UNDECIDED if found.undecided else _command.OK
