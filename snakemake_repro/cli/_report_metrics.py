"""The metrics of a report as text."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from snakemake_repro.cli import _terminal, _text
from snakemake_repro.logic.made import Age
from snakemake_repro.logic.summary import MetricValue, OutputFile, RunSummary

_FEW_METRIC_JOBS = 24
_UNBOUNDED = 10_000
"""Columns of a terminal on which everything fits."""


def origin(file: OutputFile | MetricValue) -> Text:
    """Return which run made something."""
    if isinstance(file, OutputFile) and file.removed:
        return Text("removed by design", style="dim")
    if file.age is Age.NEW:
        return Text("this run", style="green")
    if file.age is Age.UNRECORDED or file.run_id is None:
        return Text("not recorded", style="yellow")
    made = f", {_text.age(file.made)}" if isinstance(file, OutputFile) and file.made else ""
    return Text(f"{_text.short(file.run_id)}{made}")


def metrics(summary: RunSummary, width: int, *, everything: bool) -> Iterator[RenderableType]:
    """Yield a table per rule, or sums where there are many jobs."""
    if not summary.metrics:
        return
    jobs = len({metric.job_id for metric in summary.metrics})
    yield _terminal.heading("Metrics", f"last values of {_text.count(jobs, 'job')}")
    if not everything and jobs > _FEW_METRIC_JOBS:
        yield _terminal.indented(_metric_sums(summary.metrics))
        return
    rules: dict[str, dict[str, list[MetricValue]]] = {}
    for metric in summary.metrics:
        rules.setdefault(metric.rule, {}).setdefault(metric.job_id, []).append(metric)
    old = any(metric.age is not Age.NEW for metric in summary.metrics)
    for rule, members in rules.items():
        table = _metric_table(rule, list(members.values()), old=old)
        if Console(width=_UNBOUNDED).measure(table).maximum > width - _terminal.INDENT:
            table = _metric_list(rule, list(members.values()), old=old)
        yield _terminal.indented(table)


def _metric_table(rule: str, jobs: Sequence[Sequence[MetricValue]], *, old: bool) -> Table:
    """Return one column per metric: easy to compare, where it is not too wide."""
    names = list(dict.fromkeys(metric.name for job in jobs for metric in job))
    table = _terminal.table(
        (_text.name(rule), "fold"),
        *((_text.name(name), "right") for name in names),
        *(("from",) if old else ()),
    )
    for job in jobs:
        values = {metric.name: _text.value(metric.value) for metric in job}
        table.add_row(
            _which(job),
            *(values.get(name, "") for name in names),
            *((origin(job[0]),) if old else ()),
        )
    return table


def _metric_list(rule: str, jobs: Sequence[Sequence[MetricValue]], *, old: bool) -> Table:
    """Return the metrics of each job one after the other."""
    table = _terminal.table(
        (_text.name(rule), "fold"), ("metrics", "fold"), *(("from",) if old else ())
    )
    for job in jobs:
        # without a space in a pair, at which a line could be broken
        pairs = (f"{_text.name(metric.name)}={_text.value(metric.value)}" for metric in job)
        row = (_which(job), Text("  ".join(pairs), overflow="fold"))
        table.add_row(*row, *((origin(job[0]),) if old else ()))
    return table


def _which(job: Sequence[MetricValue]) -> Text:
    """Return what tells a job from others of its rule."""
    return _terminal.name(job[0].job.removeprefix(job[0].rule).strip() or "-")


def _metric_sums(metrics: Sequence[MetricValue]) -> Table:
    table = _terminal.table(
        ("rule", "fold"),
        ("metric", "fold"),
        ("jobs", "right"),
        ("least", "right"),
        ("median", "right"),
        ("greatest", "right"),
    )
    groups: dict[tuple[str, str], list[float]] = {}
    for metric in metrics:
        groups.setdefault((metric.rule, metric.name), []).append(metric.value)
    for (rule, metric_name), values in sorted(groups.items()):
        table.add_row(
            _terminal.name(rule),
            _terminal.name(metric_name),
            f"{len(values):,}",
            _text.value(min(values)),
            _text.value(statistics.median(values)),
            _text.value(max(values)),
        )
    return table
