"""From Snakemake's events to the record of one run: when it begins, who leads it, when it ends."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake_logger_plugin_repro.live import Temporaries, running_workflow
from snakemake_logger_plugin_repro.run import Run
from snakemake_repro.backends.host import host_id
from snakemake_repro.backends.parents import Parents, this_process
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.operations.abandoned import end_abandoned_runs
from snakemake_repro.operations.sync import recorded_uri, resolve_tracking_uri
from snakemake_repro.recorder import start_recorder

if TYPE_CHECKING:
    from snakemake_logger_plugin_repro import LogHandlerSettings

LEADER = "logger"

_NOT_OURS = ("ray", "touch", "dryrun")
"""Executors whose runs are recorded elsewhere, or that run nothing."""

_ON_USER_REQUEST = "Terminating processes on user request"


class Witness:
    """Takes the events of one Snakemake process."""

    def __init__(self, settings: LogHandlerSettings, temporaries: Temporaries) -> None:
        """Write nothing yet.

        Args:
            settings: As given on the command line.
            temporaries: Files that were read before Snakemake could remove them.
        """
        self._settings = settings
        self._temporaries = temporaries
        self._workdir = Path.cwd()
        self._parents = Parents(self._workdir, host_id())
        self._run_id: str | None = None
        self._run: Run | None = None

    def take(self, event: str, record: logging.LogRecord) -> None:
        """Take one event.

        Args:
            event: Its kind; empty for a plain message.
            record: With the fields that Snakemake adds for the kind.

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
        elif not event:
            if record.getMessage().startswith(_ON_USER_REQUEST):
                self._run.interrupt()
        elif event == "job_info":
            self._run.job_started(fields["jobid"], record.created)
        elif event == "error":
            self._run.error(record.getMessage())
        elif event == "job_error":
            self._run.job_failed(fields["jobid"], record.created)
        elif event == "job_finished":
            self._run.job_finished(fields["job_id"], record.created)

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
        workflow = running_workflow()
        ours = workflow.executor_plugin.name not in _NOT_OURS
        if self._run_id is None or self._run is not None or not ours:
            return
        uri = resolve_tracking_uri(self._settings.tracking_uri, os.environ, self._workdir)
        self._run = Run(
            workflow,
            temporaries=self._temporaries,
            run_id=self._run_id,
            workdir=self._workdir,
            experiment=self._settings.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME"),
            tracking_uri=recorded_uri(uri, self._workdir),
            mlflow_runs=self._settings.mlflow_runs,
        )
        start_recorder(self._workdir, uri)
        # Snakemake's formatter knows no arguments
        message = f"Recording run {self._run_id[:12]}, MLflow: {strip_credentials(uri)}"
        logging.getLogger("snakemake.logging").info(message)
