"""Jobs that were executed again, as text."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from snakemake_repro.cli import _changes, _terminal, _text
from snakemake_repro.logic.rebuilds import Rebuild, Rebuilt
from snakemake_repro.logic.variations import Variation, Variations

_STYLES = {
    Rebuilt.IDENTICAL: "green",
    Rebuilt.TOLERATED: "green",
    Rebuilt.DIFFERENT: "bold red",
    Rebuilt.FAILED: "red",
    Rebuilt.NOT_TRIED: "yellow",
}


_VARIED = {
    Variation.THREADS: "number of threads",
    Variation.HOSTNAME: "name of the machine",
    Variation.HASH_SEED: "hash seed of Python",
    Variation.TIME: "time zone and SOURCE_DATE_EPOCH",
    Variation.FILE_ORDER: "order of files in directories",
}


def render(rebuild: Rebuild, console: Console, *, everything: bool) -> None:
    """Print the jobs that did not come out the same, and a verdict."""
    for job in rebuild.jobs:
        if job.came is Rebuilt.IDENTICAL and not everything:
            continue
        text = Text(job.came.value, style=_STYLES[job.came])
        console.print(text.append("  ").append_text(_terminal.name(job.job, "bold")))
        if job.note is not None:
            console.print(_terminal.indented(_terminal.plain(job.note, "dim")))
        for line in _changes.files(job.outputs, everything=everything):
            console.print(_terminal.indented(line))
        for change in job.changes:
            console.print(_terminal.indented(_changes.headline(change)))
        if job.came is Rebuilt.DIFFERENT and not job.changes:
            said = "nothing that determines the result differs: the job is not deterministic"
            console.print(_terminal.indented(Text(said, style="dim")))
    console.print(_verdict(rebuild))


def render_variations(found: Variations, console: Console, *, everything: bool) -> None:
    """Print what came of the jobs with nothing varied, with each thing varied, and what matters."""
    console.print(_terminal.heading("Nothing varied"))
    render(found.base, console, everything=everything)
    for variation, rebuild in found.varied.items():
        console.print(_terminal.heading(f"Another {_VARIED[variation]}"))
        render(rebuild, console, everything=everything)
    console.print(_terminal.heading("What decides results"))
    for flip in found.flips:
        text = Text(_VARIED[flip.variation], style="bold red")
        text.append("  in ").append_text(_terminal.name(flip.job, "bold"))
        console.print(_terminal.indented(text))
        for line in _changes.files(flip.outputs, everything=everything):
            console.print(_terminal.indented(_terminal.indented(line)))
    if not found.flips:
        said = "Nothing that was varied."
        if found.base.differs:
            said += " What differs with nothing varied depends on the clock, on chance or on what "
            said += "else the machine does."
        console.print(_terminal.indented(Text(said)))


def _verdict(rebuild: Rebuild) -> Text:
    parts = [f"{number:,} {came.value}" for came, number in rebuild.counts.items() if number]
    text = Text(f"Run {_text.short(rebuild.run_id)}: ")
    text.append(f"{len(rebuild.jobs):,} of {_text.count(rebuild.of, 'job')} executed again, ")
    if rebuild.differs:
        text.append("not all as recorded", style="bold red")
    elif rebuild.undecided:
        text.append("undecided", style="bold yellow")
    elif rebuild.counts[Rebuilt.TOLERATED]:
        text.append("every output as recorded, within declared tolerances", style="bold green")
    else:
        text.append("every output as recorded, byte for byte", style="bold green")
    return text.append(f" ({', '.join(parts)}).")
