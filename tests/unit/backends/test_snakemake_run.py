"""What a run is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakemake_repro.backends.snakemake_run import run_name
from snakemake_repro.records import GitState, Source


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/lab/showers.git", "showers"),
        ("git@example.org:showers", "showers"),
        ("/srv/showers/.", "showers"),
        ("/srv/showers/", "showers"),
        (".", "here"),
        ("", "here"),
        (None, "here"),
    ],
)
def test_a_run_has_the_name_of_its_repository_or_directory(url: str | None, name: str) -> None:
    source = Source(uri="Snakefile", role="workflow", git=GitState(commit="a" * 40, url=url))
    assert run_name((source,), Path("/home/me/here")) == name
