"""`repro lineage`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from snakemake_repro.operations.access import Place

_WIDTH = 4
"""Files made by one rule that the tree shows of one job."""


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("file", metavar="FILE|DIGEST")
@click.option("--downstream", is_flag=True, help="Show what was made of it instead.")
@click.option(
    "--depth", type=click.IntRange(min=1), metavar="N", help="Show at most N jobs in a row."
)
@click.option("--all", "everything", is_flag=True, help="Show every file of every job.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "dot", "mermaid"]),
    default="tree",
    show_default=True,
    help="Print a graph for Graphviz (dot) or for Markdown (mermaid).",
)
@_command.record_options
def lineage(
    *,
    file: str,
    downstream: bool,
    depth: int | None,
    everything: bool,
    form: str,
    place: Place,
    as_json: bool,
) -> int:
    """Show where a file comes from, across runs.

    FILE is a path; DIGEST is the first 8 characters or more of a SHA-256. What counts is the
    content: of a path that was written several times, the history of what is there now is shown,
    and a copy of a recorded file is found by its bytes.

    Exits with 1 when the file on disk differs from everything on record for it.
    """
    from snakemake_repro.cli import _terminal
    from snakemake_repro.operations import access
    from snakemake_repro.operations.lineage import OnDisk, lineage

    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        traces = lineage(
            index,
            file,
            place.workdir,
            down=downstream,
            depth=depth,
            width=None if everything or as_json else _WIDTH,
        )
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"direction": "downstream" if downstream else "upstream", "lineage": traces})
    elif form != "tree":
        from snakemake_repro.logic import flowcharts

        chart = flowcharts.flowchart([trace.tree for trace in traces], downstream=downstream)
        click.echo(flowcharts.dot(chart) if form == "dot" else flowcharts.mermaid(chart))
    else:
        from snakemake_repro.cli._lineage import render

        render(traces, _terminal.console(), downstream=downstream)
    differs = any(trace.on_disk is OnDisk.DIFFERS for trace in traces)
    return _command.DIFFERS if differs else _command.OK
