"""Searches by ``tune`` without Snakemake: what it gives a wrapper, and a record in memory."""

from __future__ import annotations

from typing import Any

import pytest
from snakemake.iocontainers import InputFiles, OutputFiles, Params

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning.outputs import tune

SPACE = {"x": {"uniform": [-1.0, 1.0]}, "n": {"randint": [0, 3]}}


class Recorder:
    """What ``track`` gives, kept in memory."""

    def __init__(self) -> None:
        self.metrics: dict[tuple[str, int | None], float] = {}
        self.params: dict[str, Any] = {}
        self.trials: list[tuple[int, dict[str, Any], list[dict[str, float]], str]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.metrics.update({(name, step): value for name, value in metrics.items()})

    def log_params(self, params: dict[str, Any]) -> None:
        self.params.update(params)

    def log_trial(
        self, number: int, params: dict[str, Any], metrics: list[dict[str, float]], state: str
    ) -> None:
        self.trials.append((number, params, metrics, state))


class Rule:
    """What Snakemake gives a wrapper."""

    def __init__(
        self, threads: int = 2, inputs: dict[str, str] | None = None, **params: Any
    ) -> None:
        outputs = params.pop("outputs", {"best": "best.json", "trials": "trials.csv"})
        self.input = InputFiles(fromdict=inputs or {})
        self.output = OutputFiles(fromdict=outputs)
        base = {
            "trial": {"function": "code.py:train"},
            "space": SPACE,
            "metric": "loss",
            "seed": 1,
            "trials": 12,
            "parallel": 2,
        }
        self.params = Params(fromdict={**base, **params})
        self.threads = threads


def search(**params: Any) -> Recorder:
    """Search in the working directory; return what was recorded."""
    run = Recorder()
    tune(Rule(**params), run)
    return run


def refusal(**params: Any) -> str:
    """Return the one line with which a search is refused."""
    with pytest.raises(WrapperError) as caught:
        search(**params)
    assert "\n" not in caught.value.message
    return caught.value.message
