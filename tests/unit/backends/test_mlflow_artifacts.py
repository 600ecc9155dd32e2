"""A job's artifacts reach MLflow once, its models are registered once, whatever is cut off."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from snakemake_repro.backends.artifacts import artifacts_root, keep
from snakemake_repro.backends.mlflow_artifacts import put_artifacts
from snakemake_repro.backends.mlflow_client import connect
from snakemake_repro.records import JobRecord, JobSpec

JOB = JobRecord(id="a" * 32, run_id="b" * 32, spec=JobSpec(rule="train", kind="script"))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return artifacts_root(tmp_path, JOB.run_id) / JOB.id


@pytest.fixture
def job(tmp_path: Path, kept: Path) -> JobRecord:
    """An attempt that left a file and a model that is to be registered."""
    left = tmp_path / "left"
    (left / "model").mkdir(parents=True)
    (left / "model" / "MLmodel").write_text("flavors: {}\n")
    (left / "notes.txt").write_text("one")
    artifacts, problems = keep(left, kept)
    assert problems == ()
    models = {"model": {"flavour": "sklearn", "registered": "it's mine"}}
    return dataclasses.replace(JOB, artifacts=artifacts, models=models)


@pytest.fixture
def client(tmp_path: Path) -> Any:
    return connect(f"sqlite:///{tmp_path}/mlflow.db", create=True)


@pytest.fixture
def run_id(tmp_path: Path, client: Any) -> str:
    place = (tmp_path / "mlruns").as_uri()
    experiment = client.create_experiment("x", artifact_location=place)
    return str(client.create_run(experiment).info.run_id)


class CutOff:
    """A client that fails at one call, as if the process were killed there."""

    def __init__(self, client: Any, call: str) -> None:
        self._client = client
        self._call = call

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            raise ConnectionError(name)
        return getattr(self._client, name)


def _shown(client: Any, run_id: str) -> tuple[list[str], list[str]]:
    names = [item.path for item in client.list_artifacts(run_id)]
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    return names, [f"{version.name} {version.version}" for version in versions]


def test_what_was_cut_off_is_completed_and_nothing_is_made_twice(
    client: Any, run_id: str, job: JobRecord, kept: Path
) -> None:
    for call in ("log_artifacts", "create_registered_model", "create_model_version", "set_tag"):
        with pytest.raises(ConnectionError, match=call):
            put_artifacts(CutOff(client, call), run_id, job, kept)
    for _ in range(2):
        put_artifacts(client, run_id, job, kept)
        assert _shown(client, run_id) == (["model", "notes.txt"], ["it's mine 1"])
    [version] = client.search_model_versions(f"run_id = '{run_id}'")
    assert client.get_model_version_download_uri(version.name, version.version).endswith("/model")


def test_what_is_there_is_not_sent_again(
    client: Any, run_id: str, job: JobRecord, kept: Path
) -> None:
    put_artifacts(client, run_id, job, kept)
    put_artifacts(CutOff(client, "log_artifacts"), run_id, job, kept)


def test_what_is_no_longer_here_is_said_to_be_so(
    client: Any, run_id: str, job: JobRecord, tmp_path: Path
) -> None:
    put_artifacts(client, run_id, job, tmp_path / "removed")
    assert _shown(client, run_id) == ([], [])
    assert "no longer here" in client.get_run(run_id).data.tags["repro.artifacts"]


def test_a_job_without_artifacts_costs_no_request(tmp_path: Path) -> None:
    put_artifacts(None, "x", JOB, tmp_path)
