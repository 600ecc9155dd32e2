"""uv is run with the user's ways to packages, and with nothing that changes what it makes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from snakemake_repro.backends import uv
from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentBuildError


def test_what_uv_prints_is_returned() -> None:
    assert run_uv(["--version"], what="x").startswith("uv ")


def test_a_failure_says_what_failed_and_what_uv_said() -> None:
    with pytest.raises(EnvironmentBuildError, match=r"(?s)it cannot be done:.*nonsense") as caught:
        run_uv(["nonsense"], what="it cannot be done")
    assert caught.value.hint


def test_credentials_in_what_uv_said_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError) as caught:
        run_uv(["http://me:hunter2@index.example/simple"], what="x")
    assert "index.example" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_the_environment_passes_indexes_and_nothing_that_changes_an_installation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "UV_VENV_SEED": "1",
        "UV_NO_VERIFY_HASHES": "1",
        "UV_INDEX_MINE_USERNAME": "me",
        "VIRTUAL_ENV": "/somewhere",
    }.items():
        monkeypatch.setenv(name, value)
    environ = uv._environ()
    assert environ["UV_INDEX_MINE_USERNAME"] == "me"
    assert environ["HOME"] == os.environ["HOME"]
    assert not {"UV_VENV_SEED", "UV_NO_VERIFY_HASHES", "VIRTUAL_ENV"} & environ.keys()
    run_uv(["venv", "--python", sys.executable, str(tmp_path / "venv")], what="x")
    assert not list(tmp_path.glob("venv/lib/python*/site-packages/pip"))


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("failed to write: No space left on device (os error 28)", "Free some space"),
        ("error: Hash mismatch for `six==1.0`", "do not trust it"),
        ("six==1.0 has no wheels with a matching\n Python ABI tag", "Only wheels"),
        ("No solution found when resolving", "have these versions"),
        ("error sending request for url", "reachable"),
    ],
)
def test_the_advice_fits_what_uv_said(said: str, advice: str) -> None:
    assert advice in uv._advice(said)
