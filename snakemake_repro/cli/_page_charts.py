"""Timeline and metrics in a report's page: positions and words, of which the template makes SVG."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from snakemake_repro.cli import _text
from snakemake_repro.cli._page_graph import cut
from snakemake_repro.logic.atlas import Atlas
from snakemake_repro.logic.plots import Spread
from snakemake_repro.logic.scales import moments, ticks
from snakemake_repro.logic.timeline import Bar, Lane, Timeline

_LEFT, _WIDTH, _RIGHT = 230.0, 720.0, 20.0
"""Of the timeline: room for names, the time itself, and room for the last number."""
_ROW, _THINNEST, _TALLEST = 12.0, 1.5, 120.0
_BETWEEN = 10.0
_AXIS = 28.0
_HEIGHTS = 30.0

PLOT_WIDTH, PLOT_HEIGHT = 320.0, 170.0
_PLOT = (52.0, 10.0, 308.0, 144.0)
"""Left, top, right and bottom of the points in a plot."""
_FEW_POINTS = 50


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rod:
    """A bar of the timeline."""

    x: float
    y: float
    width: float
    height: float
    mood: str
    job: int
    title: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One rule in the timeline.

    Attributes:
        detail: How many jobs ran at a time at most.
        path: Of the heights, in the language of SVG; empty where there are rods.
    """

    y: float
    height: float
    label: str
    title: str
    detail: str
    rods: tuple[Rod, ...]
    path: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The timeline."""

    left: float
    width: float
    height: float
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    untimed: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """One metric of one rule.

    Attributes:
        path: Of points or lines, in the language of SVG.
        few: There are so few points that each may be large.
        median: Where the median lies; ``None`` for lines.
    """

    metric: str
    rule: str
    detail: str
    path: str
    lines: bool
    few: bool
    median: float | None
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    left: float = _PLOT[0]
    top: float = _PLOT[1]
    right: float = _PLOT[2]
    bottom: float = _PLOT[3]


def clock(atlas: Atlas, times: Timeline) -> Clock:
    """Return the timeline of a run as a drawing."""
    along = _along(times.begin, times.end, _LEFT, _LEFT + _WIDTH)
    y = 0.0
    rows = []
    for lane in times.lanes:
        rows.append(_row(atlas, lane, y, along))
        y += rows[-1].height + _BETWEEN
    return Clock(
        left=_LEFT,
        width=_LEFT + _WIDTH + _RIGHT,
        height=y + _AXIS,
        rows=tuple(rows),
        ticks=tuple(Tick(at=along(at), label=_since(at)) for at in moments(times.end)),
        untimed=times.untimed,
    )


def _since(seconds: float) -> str:
    """Return a moment on the clock of a run; it is a round one."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = (
        f"{hours:,} h" if hours else "",
        f"{minutes} min" if minutes else "",
        f"{rest:g} s" if rest or seconds < 1 else "",
    )
    return " ".join(filter(None, parts))


def _along(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return where a value lies on an axis."""
    width = high - low
    return lambda value: round(start + (end - start) * ((value - low) / width if width else 0.5), 1)


def _row(atlas: Atlas, lane: Lane, y: float, along: Callable[[float], float]) -> Row:
    name = _text.name(atlas.rules[lane.rule])
    step = max(_THINNEST, min(_ROW, _TALLEST / lane.rows))
    height = _HEIGHTS if lane.heights else max(_ROW, step * lane.rows)
    return Row(
        y=y,
        height=height,
        label=cut(name),
        title=name,
        detail=f"{lane.rows:,} at a time at most" if lane.heights else "",
        rods=tuple(_rod(atlas, bar, y, step, along) for bar in lane.bars),
        path=_steps(lane.heights, y + height) if lane.heights else "",
    )


def _rod(atlas: Atlas, bar: Bar, y: float, step: float, along: Callable[[float], float]) -> Rod:
    job = atlas.jobs[bar.job]
    x = along(bar.when.start)
    name = " ".join(filter(None, (_text.name(atlas.rules[job.rule]), _text.inert(job.values))))
    return Rod(
        x=x,
        y=round(y + bar.row * step, 1),
        width=max(1.0, round(along(bar.when.end) - x, 1)),
        height=round(step * 0.8, 1),
        mood="good" if bar.when.succeeded else "bad",
        job=bar.job,
        title=f"{name}: {_text.duration(bar.when.end - bar.when.start)}",
    )


def _steps(heights: Sequence[float], bottom: float) -> str:
    """Return heights as an area."""
    tallest = max(heights) or 1.0
    width = _WIDTH / len(heights)
    parts = [f"M{_LEFT:.1f} {bottom:.1f}"]
    for number, height in enumerate(heights):
        parts.append(f"V{bottom - _HEIGHTS * height / tallest:.1f}")
        parts.append(f"H{_LEFT + (number + 1) * width:.1f}")
    return "".join((*parts, f"V{bottom:.1f}Z"))


def plots(atlas: Atlas, spreads: Iterable[Spread]) -> Iterator[Plot]:
    """Yield the metrics that are worth a drawing."""
    left, top, right, bottom = _PLOT
    for spread in spreads:
        if not spread.drawn:
            continue
        series = spread.lines or (tuple(enumerate(spread.values, start=1)),)
        every = [point for line in series for point in line]
        xs, ys = [x for x, _ in every], [y for _, y in every]
        marks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
        # a little room, so that the outermost points are whole
        room = (max(ys) - min(ys)) * 0.05
        along = _along(min(xs), max(xs), left + 6, right - 6)
        up = _along(min(ys) - room, max(ys) + room, bottom, top)
        jobs = _text.count(len(spread.values), "job")
        yield Plot(
            metric=_text.name(spread.metric),
            rule=_text.name(atlas.rules[spread.rule]),
            detail=_steps_of(spread)
            if spread.lines
            else f"{jobs}, median {_text.value(spread.median)}",
            path="".join(
                _line([(along(x), up(y)) for x, y in line], bool(spread.lines)) for line in series
            ),
            lines=bool(spread.lines),
            few=len(spread.values) <= _FEW_POINTS,
            median=None if spread.lines else up(spread.median),
            across=tuple(Tick(at=along(x), label=f"{x:,g}") for x in marks[0])
            if spread.lines
            else (),
            up=tuple(Tick(at=up(y), label=f"{y:.4g}") for y in marks[1]),
        )


def _steps_of(spread: Spread) -> str:
    shown, jobs = len(spread.lines), _text.count(spread.stepping, "job")
    return f"by step, {jobs}" if shown == spread.stepping else f"by step, {shown} of {jobs}"


def _line(points: Sequence[tuple[float, float]], joined: bool) -> str:  # noqa: FBT001
    """Return points in the language of SVG: a line, or dots."""
    if joined:
        return "M" + "L".join(f"{x} {y}" for x, y in points)
    return "".join(f"M{x} {y}h0" for x, y in points)
