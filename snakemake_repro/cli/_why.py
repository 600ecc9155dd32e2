"""Why jobs ran, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from snakemake_repro.cli import _changes, _terminal, _text
from snakemake_repro.logic.why import Because

_FEW_JOBS = 12
_FEW_CHANGES = 8


def render(reasons: Sequence[Because], console: Console, *, everything: bool) -> None:
    """Print one tree per job: what changed, and what changed above it."""
    shown = reasons if everything else reasons[:_FEW_JOBS]
    for because in shown:
        tree = Tree(_job(because), guide_style="dim")
        _grow(tree, because, everything=everything)
        console.print(tree)
    for line in _terminal.rest(reasons, shown, "job"):
        console.print(line)


def _job(because: Because) -> Text:
    text = _terminal.name(because.job, "bold")
    text.append(f"  ran in run {_text.short(because.run_id)}, {_text.age(because.at)}", style="dim")
    if because.reused_by is not None:
        text.append(
            f"; run {_text.short(because.reused_by)} found its results up to date", style="yellow"
        )
    return text


def _grow(tree: Tree, because: Because, *, everything: bool) -> None:
    if because.roots != because.changes:
        for root in because.roots if everything else because.roots[:_FEW_CHANGES]:
            tree.add(Text("because of ", style="bold").append_text(_changes.headline(root)))
    shown = because.changes if everything else because.changes[:_FEW_CHANGES]
    for change in shown:
        branch = tree.add(_changes.headline(change))
        for line in _changes.details(change, everything=everything):
            branch.add(line)
    for line in (*_terminal.rest(because.changes, shown, "change"), *_said(because)):
        tree.add(line)
    for change in because.since if everything else because.since[:_FEW_CHANGES]:
        tree.add(Text("since then: ", style="yellow").append_text(_changes.headline(change)))
    causes = because.causes if everything else because.causes[:_FEW_CHANGES]
    for cause in causes:
        _grow(tree.add(_job(cause)), cause, everything=everything)
    for line in _terminal.rest(because.causes, causes, "job", " above it"):
        tree.add(line)


def _said(because: Because) -> Iterator[Text]:
    if because.before is None:
        yield Text("no earlier job on record made its outputs")
    elif not because.changes:
        yield Text("nothing that determines its result had changed")
    if because.attempt > 1:
        yield Text(f"attempt {because.attempt}, after a failure", style="yellow")
    if because.said is not None:
        yield Text(f"Snakemake: {_text.inert(because.said)}", style="dim")
    if because.before is not None:
        run = _text.short(because.before.run_id)
        what = f"compared with run {run}, {_text.age(because.before.at)}"
        came = "other results" if because.outputs else "the same results"
        style = "dim" if because.changes or not because.outputs else "yellow"
        yield Text(f"{what}: {came}", style=style)
