"""The report of a run as one page for a browser that needs nothing else.

Everything is in the file, and its policy forbids the browser to run or load anything but the style
and the script that are known by their digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import PurePosixPath

from snakemake_repro.cli import _text
from snakemake_repro.cli._page_charts import PLOT_HEIGHT, PLOT_WIDTH, clock, plots
from snakemake_repro.cli._page_data import data
from snakemake_repro.cli._page_embedded import embedded, known, styles
from snakemake_repro.cli._page_graph import MOODS, graph
from snakemake_repro.logic.atlas import Atlas
from snakemake_repro.logic.plots import spreads
from snakemake_repro.logic.retelling import methods, rerun_line
from snakemake_repro.logic.summary import RunSummary, Verdict
from snakemake_repro.logic.timeline import timeline

_MOST_ROWS = 200
"""Of one table; the search of the page finds the rest."""
_MOST_PLOTS = 60
_FIRST_PLOTS = 9
"""Those that are shown without being asked for."""

_VERDICTS = {
    Verdict.SUCCEEDED: ("succeeded", "good"),
    Verdict.FAILED: ("failed", "bad"),
    Verdict.INTERRUPTED: ("was interrupted", "bad"),
    Verdict.UNFINISHED: ("has no end on record", "doubt"),
}

_FILTERS = {
    "count": _text.count,
    "duration": _text.duration,
    "inert": _text.inert,
    "moment": _text.moment,
    "name": _text.name,
    "short": _text.short,
    "size": _text.size,
    "value": _text.value,
}


def page(summary: RunSummary, atlas: Atlas, pages: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        summary: What the report says.
        atlas: Every job and file.
        pages: Content of results that are pages themselves, by path; they are shown as well.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(_part),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(_FILTERS)
    style, script = _part("report.css"), _part("report.js")
    words, mood = _VERDICTS[summary.verdict]
    metrics, inner = spreads(atlas), embedded(pages)
    return environment.get_template("report.html").render(
        policy=_policy(style, script, *styles(inner)),
        pages=inner,
        style=style,
        script=script,
        data=data(atlas),
        summary=summary,
        words=words,
        mood=mood,
        moods={result.value: mood for result, mood in MOODS.items()},
        results=sorted(
            (file for file in summary.outputs if file.final and not file.removed),
            key=lambda file: file.path,
        ),
        most=_MOST_ROWS,
        most_plots=_MOST_PLOTS,
        first_plots=_FIRST_PLOTS,
        methods=methods(summary),
        rerun=rerun_line(summary),
        graph=graph(atlas),
        clock=clock(atlas, timeline(atlas)),
        metrics=metrics,
        plots=sorted(plots(atlas, metrics), key=lambda plot: not plot.lines),
        plot_size=(PLOT_WIDTH, PLOT_HEIGHT),
        rules=atlas.rules,
        files={(file.path, file.digest): number for number, file in enumerate(atlas.files)},
        jobs={job.id: number for number, job in enumerate(atlas.jobs)},
    )


def _part(name: str) -> str:
    """Return a file of the page; a template's name may not lead elsewhere."""
    folder = resources.files("snakemake_repro.cli") / "page"
    return (folder / PurePosixPath(name).name).read_text(encoding="utf-8")


def _policy(style: str, script: str, *others: str) -> str:
    """Return what the browser may do: show these styles, run this script, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {' '.join((known(style), *others))}",
            f"script-src {known(script)}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
