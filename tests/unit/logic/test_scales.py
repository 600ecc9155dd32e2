"""Axes have few, round numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.logic.plots import LARGEST
from snakemake_repro.logic.scales import moments, ticks

_NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)


def test_numbers_are_round() -> None:
    assert ticks(0.0, 1.0) == (0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0)
    assert ticks(41.0, 136.0) == (60.0, 80.0, 100.0, 120.0)
    assert ticks(3.0, 3.0) == (3.0,)


def test_moments_are_such_as_a_clock_has() -> None:
    assert moments(50.0) == (0.0, 10.0, 20.0, 30.0, 40.0, 50.0)
    assert moments(7900.0) == (0.0, 1800.0, 3600.0, 5400.0, 7200.0)
    assert moments(200_000.0)[1] % 3600 == 0
    assert moments(2.0)[1] == 0.5
    assert moments(0.0) == (0.0,)


@given(_NUMBERS, _NUMBERS)
def test_they_are_few_and_within(a: float, b: float) -> None:
    low, high = sorted((a, b))
    found = ticks(low, high)
    assert len(found) <= 7
    slack = (high - low) * 1e-6
    assert all(low - slack <= one <= high + slack for one in found)


@given(st.floats(0, 1e9, allow_nan=False))
def test_moments_are_few(duration: float) -> None:
    assert len(moments(duration)) <= 10


@given(st.floats(-LARGEST, LARGEST), st.floats(-LARGEST, LARGEST))
def test_no_numbers_that_are_drawn_are_too_large_for_an_axis(a: float, b: float) -> None:
    assert len(ticks(*sorted((a, b)))) <= 10
