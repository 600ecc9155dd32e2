"""A flag whose value is left away gets the one that it stands for."""

from __future__ import annotations

import pytest

from snakemake_executor_plugin_ray.arguments import completed

SNAKEMAKE = ["snakemake", "--executor", "ray"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--ray-hermetic"], ["--ray-hermetic", "enforce"]),
        (["--ray-hermetic", "all"], ["--ray-hermetic", "enforce", "all"]),
        (["--ray-hermetic", "--jobs", "2"], ["--ray-hermetic", "enforce", "--jobs", "2"]),
        (["--ray-hermetic", "report", "all"], ["--ray-hermetic", "report", "all"]),
        (["--ray-hermetic=off", "all"], ["--ray-hermetic=off", "all"]),
        (["--ray-hermetic-trace", "off"], ["--ray-hermetic-trace", "off"]),
        ([], []),
    ],
)
def test_hermetic_alone_means_enforce(given: list[str], meant: list[str]) -> None:
    assert list(completed([*SNAKEMAKE, *given])) == [*SNAKEMAKE, *meant]


def test_an_empty_command_line_stays_empty() -> None:
    assert list(completed([])) == []
