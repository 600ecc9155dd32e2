"""A graph drawn in layers, from top to bottom, as boxes and curves."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence

_HEIGHT = 44.0
_BETWEEN_LAYERS = 44.0
_BETWEEN_BOXES = 20.0
_BEND = 12.0
"""Room that a line takes where it passes a layer."""
_SWEEPS = 8


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A node of the drawing, by its corner."""

    x: float
    y: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """An edge of the drawing.

    Attributes:
        start: Number of the node it comes from.
        end: Number of the node it goes to.
        path: In the language of SVG.
    """

    start: int
    end: int
    path: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """Where everything is, in pixels; boxes in the order of the nodes."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]


def draw(widths: Sequence[float], edges: Iterable[tuple[int, int]]) -> Drawing:
    """Draw a graph.

    A node lies below everything that it depends on; nodes of a circle lie side by side. An edge
    from a node to itself is not drawn.

    Args:
        widths: Of the nodes' boxes.
        edges: Pairs of nodes, by number.
    """
    edges = sorted({(start, end) for start, end in edges if start != end})
    levels = _levels(len(widths), edges)
    ways: dict[tuple[int, int], list[int]] = {}
    sizes = list(widths)
    rows: list[list[int]] = [[] for _ in range(max(levels, default=-1) + 1)]
    for node, level in enumerate(levels):
        rows[level].append(node)
    for start, end in edges:
        between = range(levels[start] + 1, levels[end])
        bends = list(range(len(sizes), len(sizes) + len(between)))
        sizes += [_BEND] * len(bends)
        for bend, level in zip(bends, between, strict=True):
            rows[level].append(bend)
        ways[start, end] = [start, *bends, end]
    above, below = _neighbours(ways.values())
    _order(rows, above, below)
    middles = _middles(rows, sizes, above, below)
    height = len(rows) * (_HEIGHT + _BETWEEN_LAYERS) - _BETWEEN_LAYERS
    tops = {n: r * (_HEIGHT + _BETWEEN_LAYERS) for r, row in enumerate(rows) for n in row}
    boxes = tuple(
        Box(x=round(middles[n] - width / 2, 1), y=tops[n], width=width, height=_HEIGHT)
        for n, width in enumerate(widths)
    )
    curves = tuple(
        Curve(start=start, end=end, path=_path(way, middles, tops))
        for (start, end), way in ways.items()
    )
    width = max((middles[n] + sizes[n] / 2 for n in middles), default=0.0)
    return Drawing(width=round(width, 1), height=max(height, 0.0), boxes=boxes, curves=curves)


def _levels(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Return the layer of each node: the longest way to it from a node that needs nothing."""
    import networkx as nx

    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(count))
    circles = nx.condensation(graph)
    levels = [0] * count
    for circle in nx.topological_sort(circles):
        needed = (circles.nodes[other]["members"] for other in circles.predecessors(circle))
        level = max((levels[node] + 1 for members in needed for node in members), default=0)
        for node in circles.nodes[circle]["members"]:
            levels[node] = level
    return levels


def _neighbours(
    ways: Iterable[Sequence[int]],
) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for way in ways:
        for upper, lower in itertools.pairwise(way):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    return above, below


def _order(
    rows: Sequence[list[int]],
    above: Mapping[int, Sequence[int]],
    below: Mapping[int, Sequence[int]],
) -> None:
    """Sort each layer so that few lines cross: every node near the middle of its neighbours."""
    place = {node: float(index) for row in rows for index, node in enumerate(row)}
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows if down else reversed(rows):
            row.sort(key=lambda node: statistics.mean([place[n] for n in near.get(node, (node,))]))
            place.update((node, float(index)) for index, node in enumerate(row))


def _middles(
    rows: Sequence[Sequence[int]],
    sizes: Sequence[float],
    above: Mapping[int, Sequence[int]],
    below: Mapping[int, Sequence[int]],
) -> dict[int, float]:
    """Return the middle of each node: above and below its neighbours as far as there is room."""
    middles: dict[int, float] = {}
    for row in rows:
        middles.update(_apart(row, sizes, [0.0] * len(row)))
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows if down else reversed(rows):
            wanted = [
                statistics.mean([middles[n] for n in near.get(node, (node,))]) for node in row
            ]
            middles.update(_apart(row, sizes, wanted))
    left = min((middles[node] - sizes[node] / 2 for node in middles), default=0.0)
    return {node: middle - left for node, middle in middles.items()}


def _apart(
    row: Sequence[int], sizes: Sequence[float], wanted: Sequence[float]
) -> Iterable[tuple[int, float]]:
    """Return where the nodes of a layer come to lie: in order, near where they want to be."""
    placed: list[float] = []
    for index, node in enumerate(row):
        least = wanted[index]
        if placed:
            room = (sizes[row[index - 1]] + sizes[node]) / 2 + _BETWEEN_BOXES
            least = max(least, placed[-1] + room)
        placed.append(least)
    shift = sum(map(float.__sub__, placed, wanted)) / len(row)
    return zip(row, (middle - shift for middle in placed), strict=True)


def _path(way: Sequence[int], middles: Mapping[int, float], tops: Mapping[int, float]) -> str:
    """Return a curve through nodes; it passes bends straight down."""
    x, y = middles[way[0]], tops[way[0]] + _HEIGHT
    parts = [f"M{x:.1f} {y:.1f}"]
    for node in way[1:]:
        x_end, y_end = middles[node], tops[node]
        half = (y + y_end) / 2
        parts.append(f"C{x:.1f} {half:.1f} {x_end:.1f} {half:.1f} {x_end:.1f} {y_end:.1f}")
        x, y = x_end, y_end
        if node != way[-1]:
            y += _HEIGHT
            parts.append(f"V{y:.1f}")
    return "".join(parts)
