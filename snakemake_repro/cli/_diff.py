"""The comparison of two runs as text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.text import Text

from snakemake_repro.cli import _changes, _terminal, _text
from snakemake_repro.logic.comparison import Comparison, Finding, Likeness, NotDone, RunHead

_FEW_JOBS = 3
_FEW_FINDINGS = 12
_FEW_METRICS = 24
_FEW_NOT_DONE = 12
_VERDICTS = {
    Likeness.IDENTICAL: ("Nothing differs.", "bold green"),
    Likeness.SAME_RESULTS: ("Every output is the same, although something differs.", "green"),
    Likeness.DIFFERENT: ("The runs differ.", "bold red"),
    Likeness.UNDECIDED: ("No difference was found, but not every file can be compared.", "yellow"),
}


def render(comparison: Comparison, console: Console, *, everything: bool) -> None:
    """Print it: the first divergence, others, what follows, metrics last."""
    words, style = _VERDICTS[comparison.likeness]
    if comparison.likeness is Likeness.SAME_RESULTS and comparison.tolerated:
        words = "Every output is the same, or counts as the same within its declared tolerance."
    console.print(Text(words, style=style))
    console.print(_terminal.facts([("a", _head(comparison.old)), ("b", _head(comparison.new))]))
    for part in (
        *_findings(comparison, everything=everything),
        *_following(comparison),
        *_not_done(comparison, everything=everything),
        *_tolerated(comparison, everything=everything),
        *_rest(comparison),
        *_metrics(comparison, everything=everything),
    ):
        console.print(part)


def _head(head: RunHead) -> Text:
    text = Text.assemble("run ", (_text.short(head.run_id), "bold"))
    text.append(f"  {_text.moment(head.started, brief=True)}")
    text.append(f"  {_text.inert(head.status or 'unfinished')}")
    if head.commit is not None:
        text.append(f"  commit {_text.inert(head.commit[:12])}")
    if head.dirty:
        text.append(" with uncommitted changes", style="yellow")
    return text


def _findings(comparison: Comparison, *, everything: bool) -> Iterator[RenderableType]:
    found = comparison.findings
    shown = found if everything else found[:_FEW_FINDINGS]
    for number, finding in enumerate(shown):
        if number == 0:
            yield _terminal.heading("First divergence")
        elif number == 1:
            yield _terminal.heading("Beside that")
        yield _terminal.indented(_changes.headline(finding.change))
        for line in _finding(finding, everything=everything):
            yield _terminal.indented(_terminal.indented(line))
    yield from map(_terminal.indented, _terminal.rest(found, shown, "difference"))


def _finding(finding: Finding, *, everything: bool) -> Iterator[RenderableType]:
    yield from _changes.details(finding.change, everything=everything)
    yield from map(_changes.headline, finding.beside)
    jobs = finding.jobs if everything else finding.jobs[:_FEW_JOBS]
    names = ", ".join(map(_text.name, jobs))
    more = len(finding.jobs) - len(jobs)
    said = f"in {names}" + (f" and {_text.count(more, 'more job')}" if more else "")
    yield Text(said, style="dim")
    if finding.outputs:
        yield from _changes.files(finding.outputs, everything=everything)
    else:
        yield Text("with the same results", style="green")


def _following(comparison: Comparison) -> Iterator[RenderableType]:
    if not comparison.following:
        return
    jobs = sum(one.jobs for one in comparison.following)
    yield _terminal.heading("What follows", _text.count(jobs, "job"))
    table = _terminal.table(("rule", "fold"), ("jobs", "right"), ("other results", "right"))
    for one in comparison.following:
        table.add_row(_terminal.name(one.rule), f"{one.jobs:,}", f"{one.differing:,}")
    yield _terminal.indented(table)


def _not_done(comparison: Comparison, *, everything: bool) -> Iterator[RenderableType]:
    found = comparison.not_done
    if not found:
        return
    yield _terminal.heading("In one run only", _text.count(len(found), "job"))
    shown = found if everything else found[:_FEW_NOT_DONE]
    yield from map(_terminal.indented, map(_alone, shown))
    yield from map(_terminal.indented, _terminal.rest(found, shown, "job"))


def _alone(one: NotDone) -> Text:
    text = _terminal.name(one.job)
    a, b = ("not in it" if result is None else result.value for result in (one.old, one.new))
    return text.append(f"  a: {a}, b: {b}", style="dim")


def _tolerated(comparison: Comparison, *, everything: bool) -> Iterator[RenderableType]:
    found = comparison.tolerated
    if found:
        yield _terminal.heading("Within tolerance", _text.count(len(found), "file"))
        yield from map(_terminal.indented, _changes.files(found, everything=everything))


def _rest(comparison: Comparison) -> Iterator[RenderableType]:
    text = Text()
    if comparison.same:
        text.append(f"\n{_text.count(comparison.same, 'job')} the same in both runs.")
    if comparison.not_compared:
        number = _text.count(len(comparison.not_compared), "job")
        text.append(f"\n{number} left files whose digest is not on record.", style="yellow")
    if text:
        yield text


def _metrics(comparison: Comparison, *, everything: bool) -> Iterator[RenderableType]:
    found = comparison.metrics
    if not found:
        return
    yield _terminal.heading("Metrics", f"{len(found):,} differ")
    table = _terminal.table(
        ("job", "fold"), "metric", ("a", "right"), ("b", "right"), ("b - a", "right")
    )
    shown = found if everything else found[:_FEW_METRICS]
    for one in shown:
        a, b = ("-" if v is None else _text.value(v) for v in (one.old, one.new))
        delta = "" if one.old is None or one.new is None else _text.value(one.new - one.old)
        table.add_row(_terminal.name(one.job), _text.name(one.name), a, b, delta)
    yield _terminal.indented(table)
    yield from map(_terminal.indented, _terminal.rest(found, shown, "metric"))
