"""The node's temporary directory ends up where the author wrote it, quoted as asked."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.logic.shelltext import TMPDIR_TOKEN, fill, quote


@given(st.text(), st.text(), st.text(min_size=1))
def test_a_quoted_word_is_one_word_after_filling(before: str, after: str, tmpdir: str) -> None:
    text = fill(quote(f"{before}{TMPDIR_TOKEN}{after}"), tmpdir)
    if "\0" not in before + after + tmpdir:
        assert shlex.split(text) == [f"{before}{tmpdir}{after}"]


@pytest.mark.parametrize("text", ["a b", "", "$(rm)", "plain"])
def test_other_words_are_quoted_as_python_does(text: str) -> None:
    assert quote(text) == shlex.quote(text)


def test_an_unquoted_stand_in_is_filled_as_it_is() -> None:
    assert fill(f"ls {TMPDIR_TOKEN}/x", "/t m p") == "ls /t m p/x"
