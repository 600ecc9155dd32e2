"""Values that count as equal although they differ a little."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.logic.tolerance import (
    close,
    json_difference,
    table_difference,
    text_difference,
)
from snakemake_repro.records import Comparator, ComparatorKind, Json

EXACT = Comparator(kind=ComparatorKind.JSON)
LOOSE = Comparator(kind=ComparatorKind.JSON, rtol=1e-3, ignore=("time", "fits.*.seconds"))

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
)


@pytest.mark.parametrize(
    ("old", "new"), [(1.0, 1.0005), (math.nan, math.nan), (math.inf, math.inf), (2, 2)]
)
def test_numbers_are_close_within_the_tolerance(old: float, new: float) -> None:
    assert close(old, new, LOOSE)


@pytest.mark.parametrize(
    ("old", "new"),
    [(1.0, 1.002), (0.0, 1e-9), (math.nan, 1.0), (math.inf, -math.inf), (math.inf, 1.0)],
)
def test_numbers_differ_beyond_the_tolerance(old: float, new: float) -> None:
    assert not close(old, new, LOOSE)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"auc": 0.97}, {"auc": 0.9701}, None),
        ({"auc": 0.97}, {"auc": 0.98}, "auc: 0.97 -> 0.98"),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "a.1.b: 2 -> 3"),
        ({"a": 1}, {}, "a: 1 -> nothing"),
        ([1], [1, 2], "1: nothing -> 2"),
        (1, "1", "value: 1 -> '1'"),
        (True, 1, "value: True -> 1"),
        (None, {}, "value: None -> {}"),
        ({"time": 1, "x": 1}, {"time": 9, "x": 1}, None),
        ({"fits": [{"seconds": 1}]}, {"fits": [{"seconds": 2}]}, None),
        ({"seconds": 1}, {"seconds": 2}, "seconds: 1 -> 2"),
    ],
)
def test_the_first_difference_of_json_is_named(old: Json, new: Json, found: str | None) -> None:
    assert json_difference(old, new, LOOSE) == found


@given(value=VALUES)
def test_a_value_does_not_differ_from_itself(value: Json) -> None:
    assert json_difference(value, value, EXACT) is None


@given(old=VALUES, new=VALUES)
def test_difference_is_symmetric_without_tolerance(old: Json, new: Json) -> None:
    there, back = json_difference(old, new, EXACT), json_difference(new, old, EXACT)
    assert (there is None) == (back is None)


@pytest.mark.parametrize(
    ("new", "found"),
    [
        ([["a", "b"], ["x", "1.0001"]], None),
        ([["a", "b"], ["x", "2"]], "row 1, column b: 1.0 -> 2"),
        ([["a", "b"], ["y", "1.0"]], "row 1, column a: x -> y"),
        ([["a", "b"]], "2 rows -> 1 rows"),
        ([["a", "c"], ["x", "1.0"]], "columns: a, b -> a, c"),
        ([["a", "b"], ["x"]], "row 1: 2 fields -> 1 fields"),
    ],
)
def test_the_first_difference_of_tables_is_named(new: list[list[str]], found: str | None) -> None:
    assert table_difference([["a", "b"], ["x", "1.0"]], new, LOOSE) == found


def test_columns_and_lines_can_be_ignored() -> None:
    by_column = Comparator(kind=ComparatorKind.CSV, ignore=("b",))
    assert table_difference([["a", "b"], ["x", "1"]], [["a", "b"], ["x", "?"]], by_column) is None
    by_line = Comparator(kind=ComparatorKind.TEXT, ignore=(r"^# made ",))
    assert text_difference(["# made today", "1"], ["1"], by_line) is None
    assert text_difference(["# made today", "1"], ["2"], by_line) == "line 2: 1 -> 2"
    assert text_difference(["1"], ["1", "2"], by_line) == "line 2: nothing -> 2"
