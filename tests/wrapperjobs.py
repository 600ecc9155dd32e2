"""What wrappers are called with in tests, and showers for them to work on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Wildcards

LOCKED = (
    "corsika/read",
    "dataset/fetch",
    "evaluate",
    "lightgbm/train",
    "notebook",
    "predict",
    "root/from-parquet",
    "root/to-parquet",
    "script",
    "sklearn/train",
    "tabular/split",
    "tune",
    "xgboost/train",
)
"""All wrappers but those whose lock is made in the workflow."""


class Recorder:
    """What ``track`` gives, kept in memory."""

    def __init__(self) -> None:
        self.metrics: dict[str, list[float]] = {}
        self.params: dict[str, Any] = {}

    def log_metric(self, name: str, value: float, step: int | None = None) -> None:
        series = self.metrics.setdefault(name, [])
        assert step is None or step == len(series)
        series.append(value)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self.log_metric(name, value)

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.params.update(params)


class Job:
    """The parts of Snakemake's object that a wrapper reads, of Snakemake's own types."""

    def __init__(
        self,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        params: Mapping[str, Any],
        wildcards: Mapping[str, str] | None = None,
        log: Mapping[str, str] | None = None,
    ) -> None:
        self.input = InputFiles(fromdict=dict(inputs))
        self.output = OutputFiles(fromdict=dict(outputs))
        self.params = Params(fromdict=dict(params))
        self.wildcards = Wildcards(fromdict=dict(wildcards or {}))
        self.log = Log(fromdict=dict(log or {}))
        self.threads = 1


def table(runs: range, *, seed: int = 3) -> pd.DataFrame:
    """Return showers of which those of even runs are heavy and have more muons."""
    generator = np.random.default_rng(seed)
    run = np.repeat(list(runs), 12)
    heavy = run % 2 == 0
    energy = generator.normal(3, 0.5, len(run))
    return pd.DataFrame(
        {
            "run": run,
            "class": np.where(heavy, "heavy", "light"),
            "muons": energy + 0.4 * heavy + generator.normal(0, 0.2, len(run)),
            "energy": energy,
        }
    )


def wheels_without_cuda() -> Path | None:
    """Return a directory that pip or uv is told to look in, with a CPU build of PyTorch."""
    named = f"{os.environ.get('UV_FIND_LINKS', '')} {os.environ.get('PIP_FIND_LINKS', '')}"
    places = [Path(place) for place in named.replace(",", " ").split()]
    return next((p for p in places if [*p.glob("torch-2.13.0+cpu-*.whl")]), None)
