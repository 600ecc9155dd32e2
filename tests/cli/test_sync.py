"""`repro sync` against a real MLflow store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from recordings import study

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.backends.mlflow_store import MlflowStore

pytestmark = pytest.mark.integration

Repro = Callable[..., Result]


def test_sync_delivers_once_and_says_so(repro: Repro, tmp_path: Path) -> None:
    run_id = study(tmp_path)
    uri = f"sqlite:///{tmp_path}/elsewhere.db"
    first = repro("sync", "--tracking-uri", uri)
    assert (first.exit_code, first.stdout) == (0, f"Run {run_id[:8]} is delivered.\n")
    assert MlflowStore(uri).load(run_id) == JournalStore(tmp_path).load(run_id)
    report = repro("report", "--tracking-uri", uri, "--json")
    assert report.exit_code == 0
    assert run_id in report.stdout


def test_sync_with_nothing_left_says_so(repro: Repro, tmp_path: Path) -> None:
    result = repro("sync")
    assert (result.exit_code, result.stdout) == (0, "Everything has been delivered before.\n")


def test_a_server_that_is_away_is_one_clear_error(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    result = repro("sync", "--tracking-uri", "http://127.0.0.1:1")
    assert result.exit_code == 3
    assert "the MLflow store at http://127.0.0.1:1 cannot be used" in result.stderr
    assert "Hint:" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_damaged_record_is_named(repro: Repro, tmp_path: Path) -> None:
    run_id = study(tmp_path)
    path = JournalStore(tmp_path).files(run_id)[0]
    path.write_bytes(path.read_bytes() + b"garbage\n")
    result = repro("sync", "--json", "--tracking-uri", f"sqlite:///{tmp_path}/elsewhere.db")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert list(data["sync"]["damaged"]) == [run_id]
