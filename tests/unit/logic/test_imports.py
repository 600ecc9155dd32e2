"""What code imports is read from its text, in whatever place and form it stands there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.logic.imports import imported

NAMES = st.lists(
    st.text("abcxyz_", min_size=1, max_size=5).filter(str.isidentifier), min_size=1, max_size=4
).map(".".join)


@pytest.mark.parametrize(
    ("text", "package", "names"),
    [
        ("import a, b.c as d", "", {"a", "b.c"}),
        ("from a.b import c, d as e", "", {"a.b", "a.b.c", "a.b.d"}),
        ("def f():\n    try:\n        import late\n    except ImportError: pass", "", {"late"}),
        ("    import indented\n", "", {"indented"}),
        ("from . import c", "a.b", {"a.b", "a.b.c"}),
        ("from .. import c", "a.b", {"a", "a.c"}),
        ("from ..x import c", "a.b", {"a.x", "a.x.c"}),
        ("from .... import c", "a.b", set()),
        ("from . import c", "", {"c"}),
        ("this is { no Python", "", set()),
        ("nul \0", "", set()),
    ],
)
def test_every_form_of_import_is_found(text: str, package: str, names: set[str]) -> None:
    assert imported(text, package) == names


@given(name=NAMES)
def test_any_name_is_found(name: str) -> None:
    assert imported(f"import {name}") == {name}
    assert name in imported(f"from {name} import x")
