"""Values travel exactly or not at all."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.logic.plain import NotPlainError, decode, describe, encode

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.builds(Path, st.text(alphabet="abc/."))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(st.text())
    ),
)


@given(values)
def test_a_plain_value_survives_json_with_its_types(value: Any) -> None:
    again = decode(json.loads(json.dumps(encode(value))))
    assert again == value
    assert repr(again) == repr(value) or isinstance(value, frozenset | dict | list | tuple)


@pytest.mark.parametrize(
    "value", [{"$": "dict", "v": []}, {"a": {"$": 1}}, {1: "a"}, (), {"x": (1, [2])}]
)
def test_what_looks_like_a_tag_is_data(value: Any) -> None:
    assert decode(json.loads(json.dumps(encode(value)))) == value


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [object(), Text("x"), [object()], OrderedDict(), 1j, print])
def test_anything_else_takes_the_other_tier(value: Any) -> None:
    with pytest.raises(NotPlainError):
        encode(value)


def test_the_record_names_a_foreign_type_instead_of_its_address() -> None:
    assert describe([object(), {1: (2,)}, {3, 1}]) == [
        {"type": "builtins.object"},
        {"1": [2]},
        [1, 3],
    ]
