"""Lineage trees as graphs for other programs: Graphviz's DOT and Mermaid.

Arrows point the way that data flows, whichever way the tree was walked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from snakemake_repro.logic.inert import inert
from snakemake_repro.logic.lineage import Cut, FileNode, JobNode, More
from snakemake_repro.records import MIN_PREFIX

_COMMIT = 12
_MERMAID = {
    "&": "#amp;", "#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;",
}  # fmt: skip
"""What would end a label or be read as markup in it."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A box of a graph.

    Attributes:
        lines: What stands in it.
        job: It is a job, else a file.
        open: It stands for something that is not shown.
    """

    lines: tuple[str, ...]
    job: bool
    open: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Flowchart:
    """Files and jobs, each once, and what flows between them.

    Attributes:
        nodes: By identity.
        edges: Pairs of identities.
    """

    nodes: dict[str, Node]
    edges: tuple[tuple[str, str], ...]


def flowchart(trees: Sequence[FileNode], *, downstream: bool) -> Flowchart:
    """Return the graph of lineage trees."""
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], None] = {}
    waiting = list(trees)
    while waiting:
        file = waiting.pop()
        name = _file_id(file)
        nodes[name] = Node(lines=_file_lines(file), job=False)
        for job in file.jobs:
            job_name = f"job {job.step.id}"
            known = nodes.get(job_name)
            if known is None or known.open:
                nodes[job_name] = _job(job)
            edges[_flow(name, job_name, downstream)] = None
            for inner in job.files:
                edges[_flow(job_name, _file_id(inner), downstream)] = None
                waiting.append(inner)
            for other, more in _rest(job_name, job.more, "file"):
                nodes[other] = more
                edges[_flow(job_name, other, downstream)] = None
        for other, more in _rest(name, file.more, "job"):
            nodes[other] = more
            edges[_flow(name, other, downstream)] = None
    return Flowchart(nodes=nodes, edges=tuple(edges))


def dot(chart: Flowchart) -> str:
    """Return it in Graphviz's language."""
    return "\n".join(("digraph lineage {", "  rankdir=LR;", *_dot(chart), "}"))


def mermaid(chart: Flowchart) -> str:
    """Return it in Mermaid's language, as code hosts show it in Markdown."""
    return "\n".join(("flowchart LR", *_mermaid(chart)))


def _dot(chart: Flowchart) -> Iterator[str]:
    numbers = {name: f"n{number}" for number, name in enumerate(chart.nodes)}
    for name, node in chart.nodes.items():
        label = "\\n".join(
            inert(line).replace("\\", "\\\\").replace('"', '\\"') for line in node.lines
        )
        shape = "box, style=rounded" if node.job else "note"
        if node.open:
            shape = "plaintext"
        yield f'  {numbers[name]} [label="{label}", shape={shape}];'
    for start, end in chart.edges:
        yield f"  {numbers[start]} -> {numbers[end]};"


def _mermaid(chart: Flowchart) -> Iterator[str]:
    numbers = {name: f"n{number}" for number, name in enumerate(chart.nodes)}
    for name, node in chart.nodes.items():
        label = "<br/>".join(
            "".join(_MERMAID.get(char, char) for char in inert(line)) for line in node.lines
        )
        start, end = ("([", "])") if node.job else ("[", "]")
        yield f'  {numbers[name]}{start}"{label}"{end}'
    for before, after in chart.edges:
        yield f"  {numbers[before]} --> {numbers[after]}"


def _flow(towards: str, away: str, downstream: bool) -> tuple[str, str]:  # noqa: FBT001
    """Return an edge between a node and one that is farther from where the walk began."""
    return (towards, away) if downstream else (away, towards)


def _file_id(file: FileNode) -> str:
    return f"file {file.digest} {file.path}"


def _file_lines(file: FileNode) -> tuple[str, ...]:
    altered = ("no recorded job wrote these bytes",) if file.altered else ()
    return (file.path, *(() if file.digest is None else (file.digest.short,)), *altered)


def _job(job: JobNode) -> Node:
    step = job.step
    lines = [step.label, f"run {step.run_id[:MIN_PREFIX]}"]
    if step.commit is not None:
        lines.append(f"commit {step.commit[:_COMMIT]}{' + changes' if step.dirty else ''}")
    if step.environment_name is not None and step.environment is not None:
        lines.append(f"{step.environment_name} {step.environment.short}")
    return Node(lines=tuple(lines), job=True, open=job.cut is Cut.DEPTH)


def _rest(name: str, left_out: Iterable[More], what: str) -> Iterator[tuple[str, Node]]:
    for more in left_out:
        number = f"{more.count:,} more {what}{'s' if more.count > 1 else ''}"
        by = "" if more.rule is None else f" of {more.rule}"
        yield f"more {name} {more.rule}", Node(lines=(number + by,), job=False, open=True)
