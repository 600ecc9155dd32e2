"""Where runs go, as the flag, the environment, the record and the directory say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filelock import FileLock
from recordings import Recording

from snakemake_repro.backends.host import host_id
from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.backends.parents import Parents, Process
from snakemake_repro.operations.attempt import WRITER
from snakemake_repro.operations.sync import (
    Pending,
    Trackers,
    delivery_lock,
    pending,
    resolve_tracking_uri,
    sync,
)

SERVER = "https://user:secret@mlflow.example.org/x"


def test_without_any_setting_mlflow_ui_in_the_directory_shows_the_runs(tmp_path: Path) -> None:
    assert resolve_tracking_uri(None, {}, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_file_store_that_is_there_goes_on(tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    assert resolve_tracking_uri(None, {}, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
    assert resolve_tracking_uri(None, {}, tmp_path) == str(tmp_path / "mlruns")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (SERVER, SERVER),
        ("sqlite:///runs/x.db", "sqlite:///{0}/runs/x.db"),
        ("sqlite:////srv/x.db", "sqlite:////srv/x.db"),
        ("postgresql://u:p@db/x", "postgresql://u:p@db/x"),
        ("databricks", "databricks"),
        ("./mlruns", "{0}/mlruns"),
        ("file:///srv/mlruns", "file:///srv/mlruns"),
    ],
)
def test_a_relative_place_is_below_the_working_directory(
    tmp_path: Path, given: str, expected: str
) -> None:
    resolved = expected.format(tmp_path)
    assert resolve_tracking_uri(given, {}, tmp_path) == resolved
    assert resolve_tracking_uri(None, {"MLFLOW_TRACKING_URI": given}, tmp_path) == resolved
    other = {"MLFLOW_TRACKING_URI": "http://elsewhere"}
    assert resolve_tracking_uri(given, other, tmp_path) == resolved


def _run(tmp_path: Path, uri: str | None) -> Trackers:
    run = Recording(tmp_path)
    run.close()
    first, *others = run.driver_file.read_text().splitlines()
    line = json.loads(first)
    line["data"]["run"]["tracking_uri"] = uri
    text = json.dumps(line, separators=(",", ":"))
    run.driver_file.write_text("\n".join([text, *others, ""]))
    return Trackers(tmp_path, None)


def test_credentials_come_from_the_environment_where_the_record_names_the_same_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snakemake_repro.logic.redaction import strip_credentials

    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    trackers = _run(tmp_path, strip_credentials(SERVER))
    (run_id,) = JournalStore(tmp_path).run_ids()
    history = JournalStore(tmp_path).load(run_id)
    assert trackers._uri(history) == SERVER
    assert "secret" not in trackers.name(history)


def test_a_run_goes_where_it_was_to_go_whatever_the_environment_says_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    trackers = _run(tmp_path, None)
    (run_id,) = JournalStore(tmp_path).run_ids()
    history = JournalStore(tmp_path).load(run_id)
    assert trackers.name(history) == f"sqlite:///{tmp_path}/mlflow.db"
    assert Trackers(tmp_path, "http://new").name(history) == "http://new"


def test_nothing_is_pending_where_nothing_was_recorded(tmp_path: Path) -> None:
    assert (pending(tmp_path).jobs, pending(tmp_path).runs) == (0, 0)
    result = sync(tmp_path)
    assert (result.delivered, result.damaged, result.pending.runs) == ((), {}, 0)
    assert list(tmp_path.iterdir()) == [], "asking leaves nothing behind"


def test_a_run_whose_snakemake_is_gone_is_waited_for_while_another_process_delivers(
    tmp_path: Path,
) -> None:
    run = Recording(tmp_path)
    run.job("train", writes={"model": "1"})
    run.close()
    run.driver_file.rename(run.driver_file.with_name("wrapper-1.jsonl"))  # it has no driver
    gone = Process(pid=2**22 - 7, start=1)
    Parents(tmp_path, host_id()).join(gone, leader=WRITER, begin=lambda _: None, run_id=run.id)
    seen: list[Pending] = []
    with FileLock(delivery_lock(tmp_path)):
        result = sync(tmp_path, wait=0.6, progress=seen.append)
    assert len(seen) > 1, "it gave up at once"
    assert (result.delivered, result.pending.runs) == ((), 1)
    end = JournalStore(tmp_path).load(run.id).end
    assert end is not None
    assert end.status == "succeeded"
