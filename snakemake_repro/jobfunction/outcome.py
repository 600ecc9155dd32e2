"""What a job's function returns, on record: numbers, series, text, figures, paths, models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from snakemake_repro.jobfunction.problems import JobError

_FIGURES = (".png", ".svg", ".pdf", ".jpg", ".html")


def log_results(run: Any, results: Any, function: str) -> None:
    """Record what a function returned.

    A number is a metric, a list of numbers one with a step for each, as is a mapping from steps to
    numbers; a text is a tag; figures, files and models are kept under their names. All that can be
    recorded is, before the rest is complained of.

    Args:
        run: What ``track`` gave.
        results: A mapping; ``None`` for nothing to record.
        function: Its name, for messages.

    Raises:
        JobError: It is no mapping, or has values that cannot be recorded.
    """
    if results is None:
        return
    if not isinstance(results, Mapping):
        raise JobError(
            f"{function}(): expected a mapping of what is to be recorded, or nothing, as its "
            f"result, got {_type(results)}"
        )
    problems = []
    for name, value in results.items():
        try:
            _log(run, name, value)
        except (TypeError, ValueError, FileNotFoundError) as exc:
            problems.append(f"{name!r}: {exc}")
    if problems:
        raise JobError(f"{function}(): cannot record the result {'; '.join(problems)}")


def _log(run: Any, name: Any, value: Any) -> None:
    if not isinstance(name, str):
        raise TypeError("expected a text as name")
    if isinstance(value, str):
        run.set_tag(name, value)
    elif isinstance(value, os.PathLike):
        suffix = os.path.splitext(os.fspath(value))[1]  # noqa: PTH122 - any kind of path
        run.log_artifact(value, name if name.endswith(suffix) else name + suffix)
    elif hasattr(value, "savefig") or hasattr(value, "write_html"):
        ending = ".png" if hasattr(value, "savefig") else ".html"
        run.log_figure(value, name if name.endswith(_FIGURES) else name + ending)
    elif _is_number(value):
        run.log_metric(name, value)
    else:
        series = _series(value)
        if series is None:
            _log_model(run, name, value)
        else:
            for step, number in series:
                run.log_metric(name, number, step=step)


def _log_model(run: Any, name: str, value: Any) -> None:
    try:
        run.log_model(value, name)
    except TypeError as exc:
        raise TypeError(
            "expected a number, a series of numbers, a text, a figure, a Path or a model, got "
            f"{_type(value)}"
        ) from exc


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and getattr(value, "ndim", 0) == 0


def _series(value: Any) -> list[tuple[int, Any]] | None:
    """Return steps with numbers; ``None`` where a value is no series."""
    if hasattr(value, "tolist"):  # NumPy, pandas, PyTorch
        value = value.tolist()
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, (list, tuple)):
        pairs = list(enumerate(value))
    else:
        return None
    fits = all(isinstance(step, int) and _is_number(number) for step, number in pairs)
    return pairs if fits else None


def _type(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
