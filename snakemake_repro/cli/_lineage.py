"""Lineage as a tree of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from snakemake_repro.cli import _terminal, _text
from snakemake_repro.logic.lineage import Cut, FileNode, JobNode, More, Step
from snakemake_repro.operations.lineage import OnDisk, Trace
from snakemake_repro.records import Origin

_ON_DISK = {
    OnDisk.IDENTICAL: ("identical on disk", "green"),
    OnDisk.DIFFERS: ("the file on disk has other bytes", "bold red"),
    OnDisk.ABSENT: ("not on disk", "dim"),
    OnDisk.NOT_COMPARED: ("not compared with the disk", "dim"),
}
_COMMIT = 12


def render(traces: Sequence[Trace], console: Console, *, downstream: bool) -> None:
    """Print one tree per file, and what its runs and environments are."""
    steps: dict[str, Step] = {}
    for trace in traces:
        label = _file(trace.tree)
        words, style = _ON_DISK[trace.on_disk]
        label.append(f"  {words}", style=style)
        tree = Tree(label, guide_style="dim")
        if downstream and not trace.tree.jobs:
            tree.add(Text("no recorded job read it", style="dim"))
        _grow(tree, label, trace.tree, downstream=downstream)
        console.print(tree)
        _collect(trace.tree, steps)
    if steps:
        console.print()
        console.print(_runs(steps.values()))
        if any(step.environment is not None for step in steps.values()):
            console.print()
            console.print(_environments(steps.values()))


def _collect(file: FileNode, steps: dict[str, Step]) -> None:
    for job in file.jobs:
        steps[job.step.id] = job.step
        for inner in job.files:
            _collect(inner, steps)


def _runs(steps: Iterable[Step]) -> Table:
    table = _terminal.table("run", "ended", ("commit", "fold"))
    runs: dict[str, Step] = {}
    for step in sorted(steps, key=lambda step: step.finished or step.at):
        runs[step.run_id] = step
    for run_id, step in reversed(runs.items()):
        commit = Text(_text.inert(step.commit[:_COMMIT]) if step.commit else "not under git")
        if step.dirty:
            commit.append(" with uncommitted changes", style="yellow")
        at = step.finished or step.at
        table.add_row(_text.short(run_id), f"{_text.moment(at)}, {_text.age(at)}", commit)
    return table


def _environments(steps: Iterable[Step]) -> Table:
    used = {step.environment: step for step in steps if step.environment is not None}
    table = _terminal.table("environment", "digest", "state")
    for digest, step in used.items():
        pinned = ("pinned", "green") if step.pinned else ("not pinned", "yellow")
        table.add_row(
            _terminal.name(step.environment_name or "not recorded"),
            _terminal.digest(digest),
            Text(*pinned),
        )
    return table


def _grow(branch: Tree, label: Text, file: FileNode, *, downstream: bool) -> None:
    for job in file.jobs:
        twig = branch.add(_job(job))
        for inner in job.files:
            leaf = _file(inner)
            _grow(twig.add(leaf), leaf, inner, downstream=downstream)
        for more in job.more:
            by = "that no job made" if more.rule is None else f"made by {_text.name(more.rule)}"
            twig.add(_more(more, "file", by))
    for more in file.more:
        branch.add(_more(more, "job", f"of {_text.name(more.rule or '')}"))
    if file.altered:
        branch.add(Text("no recorded job wrote these bytes to this path", style="yellow"))
    elif not file.jobs and not downstream:
        label.append("  input", style="dim")


def _more(more: More, what: str, which: str) -> Text:
    return Text(f"{_text.count(more.count, f'more {what}')} {which} (--all)", style="dim")


def _file(node: FileNode) -> Text:
    label = _terminal.name(node.path, "bold")
    label.append(f"  {'-' if node.digest is None else node.digest.short}", style="cyan")
    return label


def _job(node: JobNode) -> Text:
    step = node.step
    label = _terminal.name(step.label)
    label.append(f"  run {_text.short(step.run_id)}", style="dim")
    if step.environment is not None:
        name = PurePosixPath(step.environment_name or "").stem or step.environment.short
        label.append(f"  {_text.name(name)}", style="dim" if step.pinned else "yellow")
    if step.origin is Origin.REUSED:
        label.append("  found up to date; its maker is not on record", style="yellow")
    if node.cut is Cut.REPEATED:
        label.append("  shown above", style="dim italic")
    elif node.cut is Cut.DEPTH:
        label.append("  goes on, see --depth", style="dim italic")
    return label
