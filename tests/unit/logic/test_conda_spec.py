"""Environment files that ask for conda packages."""

from __future__ import annotations

from typing import Any

import pytest

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.conda_spec import CondaSpec, check_platforms, parse_conda_spec

FILE: dict[str, Any] = {
    "name": "ignored",
    "channels": ["conda-forge", "bioconda", "nodefaults"],
    "dependencies": ["samtools  =1.20", "python  # the newest", {"pip": ["six"]}],
}


def test_a_file_is_read() -> None:
    assert parse_conda_spec(FILE, name="x.yaml") == CondaSpec(
        channels=("conda-forge", "bioconda"),
        packages=("python", "samtools =1.20"),
        requirements=("six",),
    )


def test_the_order_of_channels_is_a_request_and_that_of_packages_is_none() -> None:
    digest = parse_conda_spec(FILE, name="x").digest
    reordered = {**FILE, "dependencies": FILE["dependencies"][::-1]}
    assert parse_conda_spec(reordered, name="y").digest == digest
    for other in (
        {**FILE, "channels": ["bioconda", "conda-forge"]},
        {**FILE, "dependencies": ["python", "samtools =1.21", {"pip": ["six"]}]},
        {**FILE, "dependencies": ["python", "samtools =1.20"]},
        {**FILE, "platforms": ["linux-64"]},
    ):
        assert parse_conda_spec(other, name="x").digest != digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": []}, "names no channel"),
        ({"channels": ["nodefaults"]}, "names no channel"),
        ({"channels": "conda-forge"}, "expected a list of names in `channels:`"),
        ({"channels": ["https://me:secret@example.org/x"]}, "credentials .*example.org"),
        ({"channels": ["https://example.org/t/secret/x"]}, "credentials .*example.org"),
        ({"dependencies": ["python", 3]}, "the dependency 3: expected a package"),
        ({"dependencies": ["python", {"conda": []}]}, "expected a package"),
        ({"dependencies": ["tool", {"pip": ["-e ."]}]}, "expected a package and versions"),
        ({"variables": {"A": "b"}}, "sets environment variables"),
        ({"platforms": ["linux-65"]}, "no platform 'linux-65': expected one of linux-64"),
    ],
)
def test_what_cannot_be_locked_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        parse_conda_spec({**FILE, **change}, name="envs/x.yaml")
    assert "envs/x.yaml" in caught.value.message
    assert "secret" not in caught.value.render()


def test_platforms_are_checked() -> None:
    assert check_platforms(["osx-64", "linux-64", "osx-64"], name="--platform") == (
        "linux-64",
        "osx-64",
    )
    with pytest.raises(EnvironmentSpecError, match="--platform: no platform 'x'"):
        check_platforms(["x"], name="--platform")
