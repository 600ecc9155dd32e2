"""What a job reports of itself: the lines of ``$REPRO_METRICS``."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.records import Json, Metric, Trial, TrialState

_MAX_PROBLEMS = 5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one attempt said of itself, and which of its lines made no sense."""

    metrics: tuple[Metric, ...] = ()
    params: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    seeds: Mapping[str, int] = dataclasses.field(default_factory=dict)
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    models: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    problems: tuple[str, ...] = ()


def parse(lines: Iterable[bytes], *, now_ms: int) -> Report:
    """Parse JSON lines such as ``{"auc": 0.97, "step": 3}``.

    A line that cannot be read becomes a problem of the report, never an exception: a job must not
    fail over what it says about itself.

    Args:
        lines: As the job wrote them.
        now_ms: Milliseconds since the epoch, for lines without a ``timestamp``.
    """
    metrics: list[Metric] = []
    params: dict[str, Json] = {}
    seeds: dict[str, int] = {}
    tags: dict[str, str] = {}
    models: dict[str, Json] = {}
    trials: dict[int, Trial] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            if not isinstance(data, dict):
                raise TypeError("expected an object")  # noqa: TRY301 - reported below, like the rest
            params.update(data.get("$params", {}))
            seeds.update({str(k): int(v) for k, v in data.get("$seeds", {}).items()})
            tags.update({str(k): str(v) for k, v in data.get("$tags", {}).items()})
            models.update({str(k): _model(v) for k, v in data.get("$models", {}).items()})
            if "$trial" in data:
                trial = _trial(data["$trial"], now_ms)
                trials[trial.number] = trial
            metrics += _metrics(data, now_ms)
        except (ValueError, TypeError, AttributeError) as exc:
            problems.append(f"metrics line {number}: {exc}")
        except KeyError as exc:
            problems.append(f"metrics line {number}: {exc} is missing")
    if len(problems) > _MAX_PROBLEMS:
        more = len(problems) - _MAX_PROBLEMS
        problems[_MAX_PROBLEMS:] = [f"and {more} more metrics lines that cannot be read"]
    return Report(
        metrics=tuple(metrics),
        params=params,
        seeds=seeds,
        tags=tags,
        models=models,
        trials=tuple(trial for _, trial in sorted(trials.items())),
        problems=tuple(problems),
    )


def redacted(trials: Iterable[Trial], redact: Redactor) -> tuple[Trial, ...]:
    """Return trials without secrets."""
    return tuple(
        dataclasses.replace(trial, params=redact.json(dict(trial.params))) for trial in trials
    )


def _model(data: Any) -> dict[str, Json]:
    """Return what is said of a model, as far as it is text."""
    known = {name: data.get(name) for name in ("flavour", "registered")}
    return {name: value for name, value in known.items() if isinstance(value, str)}


def _trial(data: Any, now_ms: int) -> Trial:
    """Return a trial; its measurements are given as the lines of a job are."""
    if not isinstance(data, dict):
        raise TypeError("expected an object as $trial")
    return Trial(
        number=int(data["number"]),
        state=TrialState(data.get("state", TrialState.COMPLETE.value)),
        params=dict(data.get("params", {})),
        metrics=tuple(
            metric for line in data.get("metrics", ()) for metric in _metrics(line, now_ms)
        ),
    )


def _metrics(data: Mapping[str, Any], now_ms: int) -> Iterable[Metric]:
    step, timestamp = int(data.get("step", 0)), int(data.get("timestamp", now_ms))
    for name, value in data.items():
        if name in ("step", "timestamp") or name.startswith("$"):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"metric {name!r} is not a number: {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"metric {name!r} is not finite: {value!r}")
        yield Metric(name=name, value=float(value), step=step, timestamp=timestamp)
