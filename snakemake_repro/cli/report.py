"""`repro report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command
from snakemake_repro.logic.debts import CODES

if TYPE_CHECKING:
    from snakemake_repro.operations.access import Place

_EXIT = {"succeeded": _command.OK, "unfinished": _command.UNDECIDED}


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("run", default="latest", metavar="[RUN]")
@click.option("--all", "everything", is_flag=True, help="List every file instead of summing up.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write one page for a browser instead, with the graph of all jobs and files.",
)
@click.option(
    "--fail-on",
    type=click.Choice([*CODES, "any"]),
    multiple=True,
    metavar="DEBT",
    help="Exit with 1 if the run has this reproducibility debt (may be repeated): "
    f"{', '.join(CODES)}, or any.",
)
@_command.record_options
def report(
    *,
    run: str,
    everything: bool,
    as_markdown: bool,
    html: Path | None,
    fail_on: tuple[str, ...],
    place: Place,
    as_json: bool,
) -> int:
    """Say where a run's results come from.

    RUN is `latest`, the id of a run or its first 8 characters or more (also the id of its MLflow
    run), a file (then the run that made it), or the first 8 characters or more of a file's SHA-256.

    Exits with 1 when the run failed or was interrupted or has a debt that --fail-on names, and with
    2 when its end is not on record.
    """
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.logic.retelling import methods, rerun_line
    from snakemake_repro.operations import access, report

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        run_id = access.find_run(index, run, place.workdir)
    if html is None:
        summary = report.report(index, run_id)
    else:
        from snakemake_repro.cli._page import page

        summary, atlas = report.report_with_atlas(index, run_id)
        text = page(summary, atlas, report.pages_of(summary, place.workdir))
        report.write_page(place.workdir / html, text)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"report": summary, "methods": methods(summary), "rerun": rerun_line(summary)})
    elif as_markdown:
        from snakemake_repro.cli._markdown import markdown

        click.echo(markdown(summary))
    elif html is not None:
        click.echo(f"Wrote {_text.name(str(html))}, {_text.size(len(text))}.")
    else:
        from snakemake_repro.cli._report import render

        render(summary, _terminal.console(), everything=everything)
    owed = sorted({debt.code for debt in summary.debts if {debt.code, "any"} & set(fail_on)})
    if owed:
        click.echo(f"Reproducibility debts that --fail-on names: {', '.join(owed)}.", err=True)
        return _command.DIFFERS
    return _EXIT.get(summary.verdict.value, _command.DIFFERS)
