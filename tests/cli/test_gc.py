"""`repro gc` gives up the record of old runs, and nothing that something rests on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from filelock import FileLock
from recordings import Recording, study, study_again

from snakemake_repro.backends.artifacts import artifacts_root
from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.operations.sync import delivery_lock

pytestmark = pytest.mark.integration

Repro = Callable[..., Result]


@pytest.fixture
def delivered(repro: Repro, tmp_path: Path) -> tuple[str, str]:
    """Two runs, the second of which reuses results of the first, both in MLflow; their ids."""
    runs = study(tmp_path), study_again(tmp_path)
    _deliver(repro, tmp_path)
    return runs


def _deliver(repro: Repro, root: Path) -> None:
    assert repro("sync", "--tracking-uri", f"sqlite:///{root}/mlflow.db").exit_code == 0


def _fates(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    return {run["run_id"]: run["fate"] for run in json.loads(result.stdout)["runs"]}


def test_what_a_kept_run_reuses_and_what_is_still_here_stays(
    repro: Repro, tmp_path: Path, delivered: tuple[str, str]
) -> None:
    first, second = delivered
    old = Recording(tmp_path, minutes=30)
    old.job("draft", writes={"draft.txt": "draft\n"})
    old.end()
    _deliver(repro, tmp_path)
    fates = _fates(repro("gc", "--keep", "1", "--json"))
    assert fates == {
        first: "its results are here",
        old.id: "its results are here",
        second: "recent",
    }
    (tmp_path / "draft.txt").unlink()
    shutil.rmtree(tmp_path / "work")
    shutil.rmtree(tmp_path / "results")
    fates = _fates(repro("gc", "--keep", "1", "--dry-run", "--json"))
    assert fates[first] == "a kept run reuses its results"
    log = tmp_path / f".snakemake/ray/draft/job/{old.id[:8]}-1.log"
    log.parent.mkdir(parents=True)
    log.write_text("drafted\n")
    planned = repro("gc", "--keep", "1", "--dry-run")
    assert "1 run would be removed" in planned.stdout
    assert JournalStore(tmp_path).run_ids() == [first, old.id, second]
    done = repro("gc", "--keep", "1")
    assert "1 run removed" in done.stdout
    assert JournalStore(tmp_path).run_ids() == [first, second]
    assert not log.parent.exists()
    assert not list((tmp_path / ".repro").glob("discarded-*"))
    assert repro("lineage", "results/summary.txt").exit_code == 0
    assert repro("log", "--json").stdout.count('"id"') == 2
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert repro("show", old.id, "--tracking-uri", uri).exit_code == 0, "MLflow still tells of it"


def test_what_is_young_or_goes_on_or_is_not_delivered_stays(repro: Repro, tmp_path: Path) -> None:
    goes_on = Recording(tmp_path)
    goes_on.job("draft", writes={"a": "a"}, removed=["a"])
    done = Recording(tmp_path, minutes=1)
    done.job("draft", writes={"b": "b"}, removed=["b"])
    done.end()
    fates = _fates(repro("gc", "--older-than", "1", "--json"))
    assert fates == {goes_on.id: "goes on", done.id: "not in MLflow yet"}
    fates = _fates(repro("gc", "--older-than", "100000", "--json"))
    assert fates[done.id] == "recent"
    goes_on.end()
    _deliver(repro, tmp_path)
    fates = _fates(repro("gc", "--older-than", "1", "--keep", "1", "--json"))
    assert fates == {goes_on.id: "removed", done.id: "recent"}


def test_a_removal_that_was_cut_off_is_finished_by_the_next_call(
    repro: Repro, tmp_path: Path, delivered: tuple[str, str]
) -> None:
    gone = "0123456789abcdef0123456789abcdef"
    left = (
        tmp_path / f".repro/discarded-{gone}/driver.jsonl",
        artifacts_root(tmp_path, gone) / "an-attempt/figure.svg",
        tmp_path / f".snakemake/ray/draft/job/{gone[:8]}-1.log",
    )
    for file in left:
        file.parent.mkdir(parents=True)
        file.write_text("\n")
    assert repro("gc", "--keep", "2").exit_code == 0
    for file in left:
        assert not file.parent.exists()
    assert not artifacts_root(tmp_path, gone).exists()
    assert JournalStore(tmp_path).run_ids() == list(delivered)


def test_it_must_be_said_which_runs_may_go(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    result = repro("gc")
    assert result.exit_code == 2
    assert "it is not said which runs may go" in result.stderr


def test_nothing_is_removed_while_somebody_delivers(
    repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(tmp_path)
    monkeypatch.setattr("snakemake_repro.operations.retention._LOCK_WAIT_S", 0.1)
    with FileLock(delivery_lock(tmp_path)):
        result = repro("gc", "--keep", "1")
    assert result.exit_code == 2
    assert "is being delivered to MLflow" in result.stderr
