"""Graphs are drawn in layers, downwards, and no box covers another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.logic.drawing import Box, Drawing, draw

_GRAPHS = st.integers(1, 12).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(40, 240).map(float), min_size=count, max_size=count),
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=30),
    )
)


def _apart(a: Box, b: Box) -> bool:
    return a.y != b.y or a.x + a.width < b.x or b.x + b.width < a.x


def test_what_is_made_lies_below_what_it_is_made_from() -> None:
    drawing = draw([100.0] * 4, [(0, 1), (1, 2), (0, 2), (0, 3)])
    tops = [box.y for box in drawing.boxes]
    assert tops[0] < tops[1] < tops[2]
    assert tops[3] == tops[1]
    assert {(curve.start, curve.end) for curve in drawing.curves} == {
        (0, 1),
        (1, 2),
        (0, 2),
        (0, 3),
    }


def test_a_long_line_goes_around_the_box_between() -> None:
    drawing = draw([100.0] * 3, [(0, 1), (1, 2), (0, 2)])
    [long] = [curve for curve in drawing.curves if (curve.start, curve.end) == (0, 2)]
    passes = float(long.path.partition("V")[0].split()[-2])
    box = drawing.boxes[1]
    assert not box.x <= passes <= box.x + box.width


def test_circles_and_loops_end_nothing() -> None:
    drawing = draw([100.0] * 3, [(0, 0), (0, 1), (1, 0), (1, 2)])
    assert drawing.boxes[0].y == drawing.boxes[1].y < drawing.boxes[2].y
    assert all(curve.start != curve.end for curve in drawing.curves)


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw([], []) == Drawing(width=0.0, height=0.0, boxes=(), curves=())


@given(_GRAPHS)
def test_no_box_covers_another_or_leaves_the_drawing(
    graph: tuple[list[float], list[tuple[int, int]]],
) -> None:
    widths, edges = graph
    drawing = draw(widths, edges)
    boxes = drawing.boxes
    assert [box.width for box in boxes] == widths
    assert all(_apart(a, b) for n, a in enumerate(boxes) for b in boxes[n + 1 :])
    assert all(box.x >= 0 and box.x + box.width <= drawing.width + 0.2 for box in boxes)
    assert all(box.y >= 0 and box.y + box.height <= drawing.height for box in boxes)
    assert draw(widths, edges) == drawing
