"""`repro init`."""

from __future__ import annotations

from pathlib import Path

import click

from snakemake_repro.cli import _command


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@_command.workdir_option
@_command.output_options
def init(*, workdir: Path, as_json: bool) -> int:
    """Set a workflow up: its default profile and .gitignore lines.

    Writes `profiles/default/config.yaml` beside the Snakefile, which Snakemake reads by itself,
    with the number of jobs and a scheduler that stays quick with many of them, and the lines in
    `.gitignore` for what runs leave in the working directory. What is there already is never
    overwritten: missing lines are added, and what differs is named.
    """
    from snakemake_repro.cli import _text
    from snakemake_repro.operations.initialise import Action, initialise

    changes = initialise(workdir)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"changes": changes})
        return _command.OK
    for change in changes:
        click.echo(f"{change.action.value:9}  {_text.name(change.path)}")
        for line in change.added:
            click.echo(f"           + {line}")
        for difference in change.differences:
            click.echo(f"           left as it is: {_text.inert(difference)}")
    if all(change.action is Action.UNCHANGED for change in changes):
        click.echo("Nothing to do.")
    else:
        click.echo("Now run: snakemake --executor ray")
    return _command.OK
