"""From Snakemake's events to the record of one run: when it begins, who leads it, when it ends."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake_logger_plugin_repro.run import Run
from snakemake_repro.backends.host import describe_host
from snakemake_repro.backends.parents import Parents, this_process
from snakemake_repro.errors import ExecutionError
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.operations.standalone import end_abandoned_runs
from snakemake_repro.operations.sync import resolve_tracking_uri
from snakemake_repro.recorder import start_recorder

if TYPE_CHECKING:
    from snakemake_logger_plugin_repro import LogHandlerSettings

LEADER = "logger"

_NOT_OURS = ("ray", "touch", "dryrun")
"""Executors whose runs are recorded elsewhere, or that run nothing."""


class Witness:
    """Takes the events of one Snakemake process."""

    def __init__(self, settings: LogHandlerSettings) -> None:
        """Write nothing yet.

        Args:
            settings: As given on the command line.
        """
        self._settings = settings
        self._workdir = Path.cwd()
        self._parents = Parents(self._workdir, describe_host().id)
        self._run_id: str | None = None
        self._run: Run | None = None

    def take(self, event: str, record: logging.LogRecord) -> None:
        """Take one event.

        Raises:
            ReproError: The record cannot be written.
        """
        fields = vars(record)
        if event == "workflow_started":
            self._reserve()
        elif event == "run_info":
            self._begin()
        elif self._run is None:
            return
        elif event == "job_info":
            self._run.job_started(fields["jobid"], record.created)
        elif event == "error":
            self._run.error(record.getMessage())
        elif event == "job_error":
            self._run.job_failed(fields["jobid"])
        elif event == "job_finished":
            self._run.job_finished(fields["job_id"])

    def end(self) -> None:
        """Write the end.

        Raises:
            ReproError: The record cannot be written.
        """
        if self._run is not None:
            self._run.end()
        if self._run_id is not None:
            self._parents.leave(this_process())

    def _reserve(self) -> None:
        """Take the lead of this process's run before one of its jobs can."""
        end_abandoned_runs(self._workdir)
        parent = self._parents.join(this_process(), leader=LEADER, begin=lambda _: None)
        self._run_id = parent.run_id

    def _begin(self) -> None:
        workflow = _workflow()
        ours = workflow.executor_plugin.name not in _NOT_OURS
        if self._run_id is None or self._run is not None or not ours:
            return
        uri = resolve_tracking_uri(self._settings.tracking_uri, os.environ, self._workdir)
        self._run = Run(
            workflow,
            run_id=self._run_id,
            workdir=self._workdir,
            experiment=self._settings.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME"),
            tracking_uri=uri,
            mlflow_runs=self._settings.mlflow_runs,
        )
        start_recorder(self._workdir, uri)
        logging.getLogger("snakemake.logging").info(
            "Recording run %s, MLflow: %s", self._run_id[:12], strip_credentials(uri)
        )


def _workflow() -> Any:
    """Return Snakemake's running workflow.

    Raises:
        ExecutionError: This version of Snakemake keeps it elsewhere.
    """
    # it runs the Snakefile in this module's namespace, and puts itself there
    workflow = getattr(sys.modules.get("snakemake.workflow"), "workflow", None)
    if not hasattr(workflow, "dag") or not hasattr(workflow, "executor_plugin"):
        raise ExecutionError(
            "cannot find the workflow in this version of Snakemake",
            hint="Use a version that this plugin was tested with, or `--executor ray`.",
        )
    return workflow
