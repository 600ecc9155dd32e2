"""The beginning of a run's record."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_ray.settings import ExecutorSettings
from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.host import describe_host
from snakemake_repro.backends.snakemake_run import describe_run
from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.operations.sync import recorded_uri, resolve_tracking_uri
from snakemake_repro.records import Host, WorkflowRun


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Beginning:
    """What is recorded before any job runs.

    Attributes:
        run: The run, without its end.
        host: Where Snakemake runs.
        uri: Of the MLflow store that the record goes to.
    """

    run: WorkflowRun
    host: Host
    uri: str

    @classmethod
    def of(
        cls, workflow: Any, settings: ExecutorSettings, run_id: str, redact: Redactor
    ) -> Beginning:
        """Describe a run that begins now in the present directory.

        Args:
            workflow: Snakemake's.
            settings: As given by the user.
            run_id: Of the new run.
            redact: Takes the values of secrets out of what is recorded.
        """
        workdir = Path.cwd()
        uri = resolve_tracking_uri(settings.tracking_uri, os.environ, workdir)
        host = describe_host()
        run = describe_run(
            workflow,
            run_id=run_id,
            started=SystemClock().now(),
            workdir=workdir,
            host=host.id,
            redact=redact,
            executor="ray",
            experiment=settings.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME"),
            tracking_uri=recorded_uri(uri, workdir),
            mlflow_runs=settings.mlflow_runs,
        )
        return cls(run=run, host=host, uri=uri)
