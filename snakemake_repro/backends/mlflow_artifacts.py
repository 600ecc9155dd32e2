"""A job's artifacts in MLflow: uploaded once, its models registered once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.records import JobRecord

_DELIVERED_TAG = "repro.artifacts"
_THERE_ALREADY = "RESOURCE_ALREADY_EXISTS"


def put_artifacts(client: Any, mlflow_run: str, job: JobRecord, directory: Path) -> None:
    """Upload what an attempt left, and register its models where it asked for that.

    What was cut off is uploaded again from the beginning: a tag says when all of it is there.

    Args:
        client: An ``MlflowClient``.
        mlflow_run: The run of the attempt.
        job: The attempt.
        directory: Where its artifacts are kept.
    """
    if not job.artifacts or _DELIVERED_TAG in client.get_run(mlflow_run).data.tags:
        return
    if not directory.is_dir():
        client.set_tag(mlflow_run, _DELIVERED_TAG, "no longer here when the job was delivered")
        return
    client.log_artifacts(mlflow_run, str(directory))
    for name, model in job.models.items():
        if isinstance(model, Mapping) and isinstance(model.get("registered"), str):
            _register(client, mlflow_run, name, str(model["registered"]))
    client.set_tag(mlflow_run, _DELIVERED_TAG, "complete")


def _register(client: Any, mlflow_run: str, name: str, registered: str) -> None:
    from mlflow.exceptions import MlflowException

    versions = client.search_model_versions(f"run_id = '{mlflow_run}'")
    if any(version.name == registered for version in versions):
        return
    try:
        client.create_registered_model(registered)
    except MlflowException as exc:
        if exc.error_code != _THERE_ALREADY:
            raise
    client.create_model_version(
        registered, f"runs:/{mlflow_run}/{name}", mlflow_run, await_creation_for=0
    )
