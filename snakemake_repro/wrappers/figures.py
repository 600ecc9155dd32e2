"""The figure of an evaluation (three curves, confusion matrix), and how all figures are drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snakemake_repro.wrappers.calibration import BINS
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.resampling import LEVEL, band
from snakemake_repro.wrappers.sample import Floats, Sample

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette: told apart also by colour-blind readers."""

_STYLES = ("-", "--", "-.", ":")
_GREY = "#6b6b6b"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "savefig.dpi": 300,
}
_DASHES = (0, (4, 3))
_BAND = f"{100 * LEVEL:.0f} % interval"
_GRID = np.linspace(0, 1, 201)
_DARK = 0.65
"""Shares above this are drawn so dark that text on them must be white."""


def draw(
    sample: Sample,
    report: Mapping[str, Any],
    weights: Floats,
    *,
    positive: int | None,
    title: str | None,
    path: str,
) -> bytes:
    """Return the figure as a PNG file, the same bytes for the same data.

    Raises:
        WrapperError: The path does not end in ``.png``.
    """
    if Path(path).suffix != ".png":
        raise WrapperError(
            f"output: {path}: expected a name that ends in .png, got {Path(path).suffix!r}",
            hint="rename the output figure=",
        )

    def panels(figure: Any) -> None:
        (roc, recall), (calibration, confusion) = figure.subplots(2, 2)
        _roc(roc, sample, report, weights, positive)
        _precision_recall(recall, report)
        _calibration(calibration, report)
        _confusion(confusion, figure, sample)
        if title is not None:
            figure.suptitle(str(title), fontsize=10)

    return png(panels, size=(7.2, 6.8), style=_STYLE)


def png(
    draw_on: Callable[[Any], None], *, size: tuple[float, float], style: Mapping[str, Any]
) -> bytes:
    """Return a PNG file, the same bytes for the same drawing.

    Args:
        draw_on: Draws on an empty ``matplotlib.figure.Figure``.
        size: Width and height in inches.
        style: Matplotlib's parameters.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context():
        # whatever style the user's own configuration sets, the figure is the same everywhere
        mpl.rcdefaults()
        mpl.rcParams.update(style)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw_on(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _roc(
    axes: Any,
    sample: Sample,
    report: Mapping[str, Any],
    weights: Floats,
    positive: int | None,
) -> None:
    codes = list(range(len(sample.classes))) if positive is None else [positive]
    for number, code in enumerate(codes):
        curves = sample.roc(code, _GRID, weights)
        if len(codes) == 1:
            label = _interval("AUC", report["roc_auc"])
            _band(axes, _GRID, *band(curves[1:]))
        else:
            auc = sample.auc(code, weights[:1])[0]
            label = f"{sample.classes[code]}: AUC {auc:.2f}"
        _line(axes, number, _GRID, curves[0], label)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.9, linestyle=_DASHES, label="chance")
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    if positive is None:
        axes.set_xlabel("False positive rate")
        axes.set_ylabel("True positive rate")
    else:
        others = [str(n) for i, n in enumerate(sample.classes) if i != positive]
        axes.set_xlabel(
            f"False positive rate ({', '.join(others)} taken for {sample.classes[positive]})"
        )
        axes.set_ylabel(f"True positive rate ({sample.classes[positive]})")
    axes.legend(loc="lower right")


def _precision_recall(axes: Any, report: Mapping[str, Any]) -> None:
    curves = report["precision_recall"]
    for number, (name, curve) in enumerate(curves.items()):
        if len(curves) == 1:
            label = _interval("AP", report["average_precision"])
            _band(axes, curve["recall"], curve["low"], curve["high"])
            axes.axhline(
                curve["share"], color=_GREY, linewidth=0.9, linestyle=_DASHES, label="chance"
            )
        else:
            label = f"{name}: AP {curve['average_precision']:.2f}"
        # precision falls and rises in steps: nothing lies between two thresholds
        _line(axes, number, curve["recall"], curve["precision"], label, drawstyle="steps-pre")
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    of = _of(curves)
    axes.set(xlabel=f"Recall{of}", ylabel=f"Precision{of}")
    axes.legend(loc="lower left")


def _calibration(axes: Any, report: Mapping[str, Any]) -> None:
    curves = report["calibration"]
    if curves is None:
        axes.text(0.5, 0.5, "No calibration:\nthe scores are\nno probabilities", ha="center")
        axes.set_axis_off()
        return
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.9, linestyle=_DASHES, label="calibrated")
    for number, (name, curve) in enumerate(curves.items()):
        x, y = curve["predicted"], curve["observed"]
        label = f"{name}: ECE {curve['expected_calibration_error']:.2f}"
        if len(curves) == 1:
            label = f"bins of {1 / BINS:g}"
            axes.vlines(
                x, curve["low"], curve["high"], color=COLOURS[0], linewidth=0.9, label=_BAND
            )
        # points at 0 and 1 are drawn whole
        _line(axes, number, x, y, label, marker="o", markersize=4, clip_on=False)
    if len(curves) == 1:
        error = _interval("ECE", report["expected_calibration_error"])
        axes.set_title(f"{error}, Brier {report['brier_score']['value']:.2f}", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    of = _of(curves)
    axes.set(xlabel=f"Predicted probability{of}", ylabel=f"Observed share{of}")
    axes.legend(loc="best")


def _line(axes: Any, number: int, x: Any, y: Any, label: str, **look: Any) -> None:
    """Draw the curve of one class, told apart from others also without colours."""
    colour, style = COLOURS[number % len(COLOURS)], _STYLES[number % len(_STYLES)]
    axes.plot(x, y, color=colour, linestyle=style, linewidth=1.6, label=label, **look)


def _band(axes: Any, x: Any, low: Any, high: Any) -> None:
    axes.fill_between(x, low, high, color=COLOURS[0], alpha=0.2, linewidth=0, label=_BAND)


def _of(curves: Mapping[str, Any]) -> str:
    """Return what labels of the axes end with: the class where there is one curve alone."""
    return f" ({next(iter(curves))})" if len(curves) == 1 else ""


def _interval(name: str, score: Mapping[str, float]) -> str:
    return f"{name} {score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"


def _confusion(axes: Any, figure: Any, sample: Sample) -> None:
    counts = sample.confusion()
    shares = counts / counts.sum(axis=1, keepdims=True)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{counts[row, column]}\n{100 * share:.0f} %",
            ha="center",
            va="center",
            color="white" if share > _DARK else "black",
        )
    names = [str(name) for name in sample.classes]
    rows = [f"{name}\n(n = {n})" for name, n in zip(names, counts.sum(axis=1), strict=True)]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), rows)
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.9)
    bar.set_label("Share of the true class")
    bar.outline.set_visible(False)
