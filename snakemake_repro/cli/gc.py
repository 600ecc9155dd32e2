"""`repro gc`."""

from __future__ import annotations

from pathlib import Path

import click

from snakemake_repro.cli import _command


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Keep the latest N runs in any case."
)
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Keep what began in the last DAYS days.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would be removed.")
@_command.workdir_option
@_command.output_options
def gc(
    *, keep: int | None, older_than: float | None, dry_run: bool, workdir: Path, as_json: bool
) -> int:
    """Remove the record and the logs of old runs here.

    Whole runs only. What MLflow has of them stays: `repro report --tracking-uri` still tells of
    them. Kept in any case are runs that go on, that MLflow does not have yet, whose results are
    still here, or whose results a kept run reuses.
    """
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.errors import UsageError
    from snakemake_repro.operations.access import Place, open_record
    from snakemake_repro.operations.retention import Fate, discard

    if keep is None and older_than is None:
        raise UsageError(
            "it is not said which runs may go",
            hint="Give --keep N, --older-than DAYS, or both; --dry-run first shows what goes.",
        )
    with _terminal.progress("reading the record") as progress:
        index = open_record(Place(workdir=workdir), progress)
    with _terminal.waiting("looking"):
        found = discard(index, workdir, keep=keep, older_than=older_than, dry_run=dry_run)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"runs": found, "dry_run": dry_run})
        return _command.OK
    table = _terminal.table("run", "started", ("size", "right"), "")
    for one in found:
        style = "yellow" if one.fate is Fate.REMOVED else ""
        table.add_row(
            _terminal.plain(_text.short(one.run_id), "bold"),
            _text.moment(one.started, brief=True),
            _text.size(one.size),
            _terminal.plain(one.fate.value, style),
        )
    _terminal.console().print(table)
    gone = [one.size for one in found if one.fate is Fate.REMOVED]
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{_text.count(len(gone), 'run')} {verb}, {_text.size(sum(gone))}.")
    return _command.OK
