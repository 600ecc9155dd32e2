"""Drawings of the study's page, as SVG that takes its colours from the page: light or dark.

Each function returns the same text for the same numbers.
"""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

TONES = 6
"""Colours that the page has."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 10, 42
_MANY = 1000
"""Points that lie above each other, so that they must let others shine through."""
_STEPS = (1, 2, 2.5, 5, 10)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between two limits."""
    rough = (high - low) / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(step * power for step in _STEPS if step * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


class Chart:
    """A frame with two linear axes, to be drawn into."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        size: tuple[int, int] = (400, 300),
        labels: tuple[str, str] = ("", ""),
        rows: Sequence[str] = (),
        title: str,
    ) -> None:
        """Draw the axes.

        Args:
            x: Limits.
            y: Limits.
            size: Width and height.
            labels: Of the axes.
            rows: Names in place of numbers at y = 0, 1 and so on.
            title: What those hear who do not see it.
        """
        self._x, self._y, self._size = x, y, size
        self._title = title
        width, height = size
        self._left = _LEFT + (30 if rows else 0)
        self._parts: list[str] = []
        for value in ticks(*x):
            at = self._h(value)
            self._grid(at, at, _TOP, height - _BOTTOM)
            self._text(at, height - _BOTTOM + 16, f"{value:g}", "middle")
        marks = [(float(n), name) for n, name in enumerate(rows)]
        for value, name in marks or [(value, f"{value:g}") for value in ticks(*y)]:
            at = self._v(value)
            self._grid(self._left, width - _RIGHT, at, at)
            self._text(self._left - 6, float(at) + 4, name, "end")
        self._text((self._left + width - _RIGHT) / 2, height - 8, labels[0], "middle")
        middle = (_TOP + height - _BOTTOM) / 2
        if labels[1]:
            self._add(
                f'<text class="label" x="14" y="{middle:.1f}" text-anchor="middle" '
                f'transform="rotate(-90 14 {middle:.1f})">{escape(labels[1])}</text>'
            )

    def line(self, x: Sequence[float], y: Sequence[float], look: str) -> None:
        """Draw a line through points."""
        points = " ".join(f"{self._h(a)},{self._v(b)}" for a, b in zip(x, y, strict=True))
        self._add(f'<polyline class="line {look}" points="{points}"/>')

    def dots(self, x: Sequence[float], y: Sequence[float], look: str, radius: float = 2) -> None:
        """Draw points."""
        for a, b in zip(x, y, strict=True):
            self._add(
                f'<circle class="dot {look}" cx="{self._h(a)}" cy="{self._v(b)}" r="{radius}"/>'
            )

    def cloud(self, x: np.ndarray, y: np.ndarray, look: str) -> None:
        """Draw many points as one path, which is small and light; none outside of the frame."""
        (left, right), (low, high) = self._x, self._y
        inside = (left <= x) & (x <= right) & (low <= y) & (y <= high)
        pairs = zip(x[inside].tolist(), y[inside].tolist(), strict=True)
        path = "".join(f"M{self._h(a)} {self._v(b)}h0" for a, b in pairs)
        kind = "dense" if np.count_nonzero(inside) > _MANY else "cloud"
        self._add(f'<path class="{kind} {look}" d="{path}"/>')

    def svg(self) -> str:
        """Return the drawing."""
        width, height = self._size
        return (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(self._title)}">'
            f"{''.join(self._parts)}</svg>"
        )

    def _add(self, part: str) -> None:
        self._parts.append(part)

    def _grid(self, x1: float | str, x2: float | str, y1: float | str, y2: float | str) -> None:
        self._add(f'<line class="grid" x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}"/>')

    def _text(self, x: float | str, y: float, text: str, anchor: str) -> None:
        place = f'x="{float(x):.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self._add(f'<text class="label" {place}>{escape(text)}</text>')

    def _h(self, value: float) -> str:
        inner = self._size[0] - self._left - _RIGHT
        return f"{self._left + inner * _share(value, self._x):.1f}"

    def _v(self, value: float) -> str:
        inner = self._size[1] - _TOP - _BOTTOM
        return f"{_TOP + inner * (1 - _share(value, self._y)):.1f}"


def _share(value: float, limits: tuple[float, float]) -> float:
    """Return where a value is between two limits, from 0 to 1; outside it is at the rim."""
    low, high = limits
    return min(max((value - low) / (high - low), 0.0), 1.0)


def tone(number: int) -> str:
    """Return the class of the page's colour for the thing with a number."""
    return f"t{number % TONES}"


def intervals(names: Sequence[str], scores: Sequence[dict[str, float]], title: str) -> str:
    """Return a row for each model with the area under its ROC curve and the interval."""
    count = len(names)
    low = min(0.5, *(score["low"] for score in scores))
    chart = Chart(
        (math.floor(low * 20) / 20, 1),
        (count - 0.4, -0.6),
        size=(400, 74 + 26 * count),
        labels=("area under the ROC curve", ""),
        rows=names,
        title=title,
    )
    for number, score in enumerate(scores):
        chart.line([score["low"], score["high"]], [number, number], tone(number))
        chart.dots([score["value"]], [number], tone(number), 4)
    return chart.svg()


def curves(found: Sequence[tuple[np.ndarray, np.ndarray]], positive: str, title: str) -> str:
    """Return ROC curves, one for each model."""
    chart = Chart(
        (0, 1),
        (0, 1),
        size=(400, 340),
        labels=("false positive rate", f"true positive rate ({positive})"),
        title=title,
    )
    chart.line([0, 1], [0, 1], "chance")
    for number, (x, y) in enumerate(found):
        chart.line(x.tolist(), y.tolist(), tone(number))
    return chart.svg()


def steps(edges: Sequence[float], shares: Sequence[Sequence[float]], label: str, title: str) -> str:
    """Return histograms with the same edges, one for each hadronic model."""
    used = max(np.flatnonzero(np.array(share))[-1] for share in shares) + 1
    x = np.repeat(np.array(edges[: used + 1]), 2)[1:-1].tolist()
    top = max(max(share) for share in shares)
    chart = Chart((edges[0], edges[used]), (0, 1.1 * top), labels=(label, "share"), title=title)
    for number, share in enumerate(shares):
        chart.line(x, np.repeat(np.array(share[:used]), 2).tolist(), tone(number))
    return chart.svg()


def clouds(groups: Sequence[tuple[np.ndarray, np.ndarray]], title: str) -> str:
    """Return points of a plane, one cloud for each class, without the outer 1 % at each side."""
    x, y = (np.concatenate([group[axis] for group in groups]) for axis in (0, 1))
    limits = [tuple(np.percentile(values, [1, 99]).tolist()) for values in (x, y)]
    wide = [(low, high if high > low else low + 1) for low, high in limits]
    chart = Chart(wide[0], wide[1], labels=("latent 1", "latent 2"), title=title)
    for number, (a, b) in enumerate(groups):
        chart.cloud(a, b, tone(number))
    return chart.svg()


def trials(found: dict[int, tuple[Sequence[float], Sequence[float]]], title: str) -> str:
    """Return the best so far of each search, by the number of its model, against the trials."""
    y = [value for _, values in found.values() for value in values]
    low, high = min(y), max(y)
    most = max(max(x) for x, _ in found.values())
    room = 0.1 * (high - low) or 0.01
    chart = Chart(
        (1, max(most, 2)),
        (low - room, high + room),
        labels=("trials", "best so far"),
        title=title,
    )
    for number, (x, values) in found.items():
        chart.line(x, values, tone(number))
    return chart.svg()
