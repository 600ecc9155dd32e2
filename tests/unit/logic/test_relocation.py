"""Paths of one machine, as they are on another."""

from __future__ import annotations

import pytest

from snakemake_repro.logic.relocation import mentions, relocate

MOVES = {"/here/project": "/there/job", "/here": "/there/sources", "/here/project/env": "/e"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/here/project", "/there/job"),
        ("/here/project/Snakefile", "/there/job/Snakefile"),
        ("/here/project/env/bin", "/e/bin"),
        ("/here/other/x", "/there/sources/other/x"),
        ("/here/projects/x", "/there/sources/projects/x"),
        ("file:///here/project/wrap", "file:///there/job/wrap"),
        ("relative/here/project", "relative/here/project"),
        ("--directory=/here/project", "--directory=/here/project"),
        ("", ""),
    ],
)
def test_the_longest_directory_that_fits_counts(text: str, expected: str) -> None:
    assert relocate(text, MOVES) == expected


@pytest.mark.parametrize(
    "data",
    ["cat /here/x", {"a": ["b", "/here"]}, {"/here/key": None}, [[["-I/here/include"]]]],
)
def test_a_place_is_found_wherever_it_stands(data: object) -> None:
    assert mentions(data, "/here")


@pytest.mark.parametrize("data", ["", None, 3, {"a": [True, 0.5, "there"]}])
def test_what_does_not_mention_it_does_not(data: object) -> None:
    assert not mentions(data, "/here")
