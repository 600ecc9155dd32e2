"""Pictures of a search: history, importance, parallel coordinates, slices; and a page of them."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from snakemake_repro.wrappers.figures import COLOURS, png
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.trials import Found, Tried, lasted

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 150,
}
_SIZE = (7.2, 3.6)
_MOST_DIMENSIONS = 12
_PER_ROW = 4
_CSS = "body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}img{width:100%}"


def page(order: Order, found: Found) -> dict[str, bytes]:
    """Return the files by name, the same bytes for the same trials: PNGs and ``index.html``."""
    drawings: dict[str, tuple[str, Callable[[Any], None]]] = {
        "history": ("History", lambda figure: _history(figure, order, found)),
        "importance": ("Importance", lambda figure: _importance(figure, order, found)),
        "parallel": ("Parallel coordinates", lambda figure: _parallel(figure, order, found)),
        "slice": ("Slices", lambda figure: _slices(figure, order, found)),
    }
    files = {
        f"{name}.png": png(draw, size=_SIZE, style=_STYLE) for name, (_, draw) in drawings.items()
    }
    parts = [
        f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,'
        f'{base64.b64encode(files[f"{name}.png"]).decode()}">'
        for name, (title, _) in drawings.items()
    ]
    best = "".join(
        f"<p>Trial {one.number}: {html.escape(_values(order, one))} with "
        f"<code>{html.escape(json.dumps(dict(one.params), sort_keys=True))}</code></p>"
        for one in found.best
    )
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Search</title>'
        f"<style>{_CSS}</style><h1>Search of {len(found.tried)} trials</h1>"
        f"<h2>Best</h2>{best}{''.join(parts)}</html>\n"
    )
    return files | {"index.html": text.encode()}


def _values(order: Order, one: Tried) -> str:
    pairs = zip(order.objectives, one.measured or (), strict=True)
    return ", ".join(f"{name} = {value:.6g}" for (name, _), value in pairs)


def _history(figure: Any, order: Order, found: Found) -> None:
    rows = figure.subplots(len(order.objectives), 1, squeeze=False, sharex=True)[:, 0]
    trials = list(lasted(found))
    for index, (axes, (name, direction)) in enumerate(zip(rows, order.objectives, strict=True)):
        values = [_value(one, index) for one in trials]
        numbers = [one.number for one in trials]
        axes.plot(numbers, values, "o", color=COLOURS[0], markersize=3, label="complete")
        pruned = [one for one in found.tried if one.state == "pruned"]
        if pruned:
            axes.plot(
                [one.number for one in pruned],
                [_value(one, index) for one in pruned],
                "x", color=COLOURS[4], markersize=4, label="pruned",
            )  # fmt: skip
        better = min if direction == "minimize" else max
        best = [better(values[: end + 1]) for end in range(len(values))]
        axes.step(numbers, best, where="post", color=COLOURS[1], label="best so far")
        axes.set_ylabel(name)
    rows[0].legend()
    rows[-1].set_xlabel("Trial")


def _importance(figure: Any, order: Order, found: Found) -> None:
    axes = figure.subplots()
    shares = importances(order, found)
    axes.barh(list(shares)[::-1], list(shares.values())[::-1], color=COLOURS[0])
    axes.set_xlabel(f"Share of the variance of {order.objectives[0][0]} (fANOVA)")
    if not shares:
        axes.set_title("too few trials, or no differences to explain")


def importances(order: Order, found: Found) -> dict[str, float]:
    """Return which share of an objective's variance each dimension explains, largest first.

    Dimensions that only some trials have are left out.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    trials = list(lasted(found))
    if len({one.measured for one in trials}) < 2:  # noqa: PLR2004 - nothing to explain
        return {}
    several = len(order.objectives) > 1
    shares: dict[str, float] = optuna.importance.get_param_importances(
        found.study,
        evaluator=FanovaImportanceEvaluator(seed=0),
        target=(lambda trial: float(trial.values[0])) if several else None,
    )
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def _parallel(figure: Any, order: Order, found: Found) -> None:
    import matplotlib as mpl

    axes = figure.subplots()
    trials = list(lasted(found))
    names = _dimensions(trials)
    columns = [_positions([one.chosen.get(name) for one in trials]) for name in names]
    objective = _positions([_value(one, 0) for one in trials])
    colours = mpl.colormaps["viridis"]
    for row, height in enumerate(objective):
        line = [column[row] for column in columns]
        axes.plot(range(len(names) + 1), [*line, height], color=colours(height), linewidth=0.8)
    axes.set_xticks(
        range(len(names) + 1), [*names, order.objectives[0][0]], rotation=20, ha="right"
    )
    axes.set_yticks([0, 1], ["low", "high"])


def _slices(figure: Any, order: Order, found: Found) -> None:
    trials = list(lasted(found))
    names = _dimensions(trials)
    columns = min(_PER_ROW, len(names))
    grid = figure.subplots(
        math.ceil(len(names) / columns), columns, squeeze=False, sharey=True
    ).ravel()
    for axes, name in zip(grid, names, strict=False):
        having = [one for one in trials if name in one.chosen]
        values = [one.chosen[name] for one in having]
        numeric = _numeric(values)
        axes.plot(
            values if numeric else [str(value) for value in values],
            [_value(one, 0) for one in having],
            "o", color=COLOURS[0], markersize=3,
        )  # fmt: skip
        if numeric and min(values) > 0 and max(values) >= 100 * min(values):
            axes.set_xscale("log")
        axes.set_xlabel(name)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    grid[0].set_ylabel(order.objectives[0][0])


def _dimensions(trials: Sequence[Tried]) -> list[str]:
    return list(dict.fromkeys(name for one in trials for name in one.chosen))[:_MOST_DIMENSIONS]


def _value(one: Tried, index: int) -> float:
    assert one.measured is not None
    return one.measured[index]


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _positions(values: Sequence[Any]) -> list[float]:
    """Return where values lie between the lowest (0) and the highest (1); NaN for what lacks."""
    there = [value for value in values if value is not None]
    if not _numeric(there):
        order = sorted({str(value) for value in there})
        values = [None if value is None else order.index(str(value)) for value in values]
        there = [value for value in values if value is not None]
    low, span = min(there), (max(there) - min(there)) or 1
    return [math.nan if value is None else (value - low) / span for value in values]
