"""The figure of an evaluation: ROC curve with its uncertainty, and the confusion matrix."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.resampling import LEVEL
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
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if Path(path).suffix != ".png":
        raise WrapperError(
            f"output: {path}: expected a name that ends in .png, got {Path(path).suffix!r}",
            hint="rename the output figure=",
        )
    with mpl.rc_context():
        # whatever style the user's own configuration sets, the figure is the same everywhere
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
        _roc(left, sample, report, weights, positive)
        _confusion(right, figure, sample)
        if title is not None:
            figure.suptitle(str(title), fontsize=10)
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
    tail = 100 * (1 - LEVEL) / 2
    for number, code in enumerate(codes):
        curves = sample.roc(code, _GRID, weights)
        colour = COLOURS[number % len(COLOURS)]
        label = _label(sample, report, code, weights, alone=len(codes) == 1)
        style = _STYLES[number % len(_STYLES)]
        axes.plot(_GRID, curves[0], style, color=colour, linewidth=1.6, label=label)
        if len(codes) == 1:
            low, high = np.nanpercentile(curves[1:], [tail, 100 - tail], axis=0)
            axes.fill_between(
                _GRID, low, high, color=colour, alpha=0.2, linewidth=0, label="95 % interval"
            )
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.9, linestyle=(0, (4, 3)), label="chance")
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


def _label(
    sample: Sample, report: Mapping[str, Any], code: int, weights: Floats, *, alone: bool
) -> str:
    if alone:
        auc = report["roc_auc"]
        return f"AUC {auc['value']:.2f} [{auc['low']:.2f}, {auc['high']:.2f}]"
    return f"{sample.classes[code]}: AUC {sample.auc(code, weights[:1])[0]:.2f}"


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
