"""The graph of rules in a report's page: positions and words, of which the template makes SVG."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator

from snakemake_repro.cli import _text
from snakemake_repro.logic.atlas import Atlas
from snakemake_repro.logic.drawing import Box, Curve, draw
from snakemake_repro.logic.outcomes import Result

_LETTER = 7.4
"""Width of a letter in a box, in pixels, generously."""
_MOST_LETTERS = 26
_NARROWEST, _MARGIN = 104.0, 28.0
_INSET = 8.0
"""Room beside the bar in a box."""
_EDGE = 2.0
"""Room around a drawing, for the lines of its boxes."""
SOURCES = "inputs"
"""What the page calls the files that no job of the run made."""

MOODS = {
    Result.EXECUTED: "good",
    Result.LOCAL: "good",
    Result.REUSED: "old",
    Result.FAILED: "bad",
    Result.INTERRUPTED: "bad",
    Result.UNCONFIRMED: "doubt",
}
"""In which colour of the page a result is shown."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A share of something, from left to right."""

    mood: str
    x: float
    width: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A box of the graph.

    Attributes:
        place: Where in the page it leads: ``rule-3``.
        title: In full.
        label: As much of the name as there is room for.
        detail: The line below.
        parts: Its jobs by how they came out.
    """

    box: Box
    place: str
    title: str
    label: str
    detail: str
    parts: tuple[Part, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """The rules, and what flows between them.

    Attributes:
        curves: Their ends are positions in ``nodes``.
    """

    width: float
    height: float
    nodes: tuple[Node, ...]
    curves: tuple[Curve, ...]


def graph(atlas: Atlas) -> Graph:
    """Return the graph of a run, collapsed by rule: as many boxes for 2,000 jobs as for 20."""
    sources = len(atlas.sources)
    labels = [cut(_text.name(rule)) for rule in atlas.rules]
    by_rule = _results(atlas)
    details = [_text.count(sum(results.values()), "job") for results in by_rule]
    first = int(sources > 0)
    """Number of the first rule: the files that nothing made come before them."""
    if first:
        labels.insert(0, SOURCES)
        details.insert(0, _text.count(sources, "file"))
    widths = [
        max(_NARROWEST, max(map(len, pair)) * _LETTER + _MARGIN)
        for pair in zip(labels, details, strict=True)
    ]
    drawing = draw(widths, _edges(atlas, first))
    nodes = []
    for number, box in enumerate(drawing.boxes):
        source = number < first
        nodes.append(
            Node(
                box=box,
                place=SOURCES if source else f"rule-{number - first}",
                title=SOURCES if source else _text.name(atlas.rules[number - first]),
                label=labels[number],
                detail=details[number],
                parts=() if source else tuple(_parts(by_rule[number - first], box)),
            )
        )
    return Graph(
        width=drawing.width + 2 * _EDGE,
        height=drawing.height + 2 * _EDGE,
        nodes=tuple(nodes),
        curves=drawing.curves,
    )


def cut(text: str) -> str:
    """Return as much of a name as there is room for."""
    return (
        text
        if len(text) <= _MOST_LETTERS
        else f"{text[: _MOST_LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
    )


def _results(atlas: Atlas) -> list[Counter[Result]]:
    found: list[Counter[Result]] = [Counter() for _ in atlas.rules]
    for job in atlas.jobs:
        found[job.rule][job.result] += 1
    return found


def _edges(atlas: Atlas, first: int) -> Iterator[tuple[int, int]]:
    for job in atlas.jobs:
        for number in job.inputs:
            maker = atlas.files[number].maker
            yield (0 if maker is None else atlas.jobs[maker].rule + first, job.rule + first)


def _parts(results: Counter[Result], box: Box) -> Iterator[Part]:
    x, total = box.x + _INSET, sum(results.values())
    for result, mood in MOODS.items():
        width = (box.width - 2 * _INSET) * results[result] / total
        if width:
            yield Part(mood=mood, x=round(x, 1), width=round(width, 1))
        x += width
