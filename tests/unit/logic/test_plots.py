"""Metrics are gathered by rule; what is drawn of them stays small."""

from __future__ import annotations

import dataclasses

from specs import PLACE

from snakemake_repro.logic.atlas import Atlas
from snakemake_repro.logic.plots import MOST_LINES, MOST_STEPS, Spread, spreads
from snakemake_repro.records import Metric


def _spreads(*metrics: tuple[Metric, ...]) -> tuple[Spread, ...]:
    jobs = tuple(dataclasses.replace(PLACE, metrics=reported) for reported in metrics)
    return spreads(Atlas(runs=(), rules=("a",), environments=(), files=(), jobs=jobs))


def _metric(name: str, value: float, step: int = 0) -> Metric:
    return Metric(name=name, value=value, step=step)


def test_metrics_are_spread_over_the_jobs_of_a_rule() -> None:
    [spread] = _spreads(*((_metric("auc", number / 10),) for number in range(3)))
    assert (spread.metric, spread.values, spread.median, spread.drawn) == (
        "auc",
        (0.0, 0.1, 0.2),
        0.1,
        True,
    )


def test_values_that_are_all_the_same_are_not_worth_a_plot() -> None:
    [spread] = _spreads(*[(_metric("auc", 1.0),)] * 9)
    assert not spread.drawn


def test_numbers_that_no_axis_holds_are_not_drawn() -> None:
    [spread] = _spreads(*[(_metric("auc", value),) for value in (1e308, -1e308, 0.0)])
    assert not spread.drawn
    assert _spreads((_metric("auc", 1.0, 10**400),)) == ()


def test_few_values_are_not_worth_a_plot() -> None:
    [spread] = _spreads((_metric("auc", 1.0),))
    assert not spread.drawn


def test_steps_become_lines_of_bounded_length_and_number() -> None:
    steps = tuple(_metric("loss", 1.0 / (step + 1), step) for step in reversed(range(1000)))
    [spread] = _spreads(*[steps] * (MOST_LINES + 5))
    assert (len(spread.lines), spread.stepping) == (MOST_LINES, MOST_LINES + 5)
    assert len(spread.lines[0]) == MOST_STEPS
    assert (spread.lines[0][0], spread.lines[0][-1]) == ((0.0, 1.0), (999.0, 0.001))
    assert set(spread.values) == {0.001}


def test_values_that_are_not_finite_are_left_out() -> None:
    odd = (_metric("loss", float("nan")), _metric("loss", float("inf"), 1))
    assert _spreads(odd) == ()
