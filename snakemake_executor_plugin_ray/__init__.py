"""Run Snakemake jobs on Ray in pinned environments, and record where every result comes from.

Snakemake imports every executor plugin at each start, so nothing heavy is imported here.
"""

from __future__ import annotations

import sys
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecMode

from snakemake_executor_plugin_ray.arguments import completed
from snakemake_executor_plugin_ray.settings import ExecutorSettings
from snakemake_repro.backends.gateway_process import ahead
from snakemake_repro.backends.snakemake_trigger import watch_locks

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

watch_locks()
sys.argv[:] = completed(sys.argv)  # Snakemake's parser reads it when all plugins are imported
ahead.start(sys.argv)

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    can_transfer_local_files=True,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    # they travel with the task instead: a command line is visible to everybody on the node
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=0,
)


class _ClearError(WorkflowError):  # type: ignore[misc] # the base class is untyped
    """An error that says all in its message.

    Snakemake prints the traceback of whatever leaves a plugin below the message; with
    ``--verbose`` it prints the cause as well, and there the traceback belongs.
    """

    @property
    def __traceback__(self) -> None:
        return None

    @__traceback__.setter
    def __traceback__(self, value: object) -> None:
        """Let ``contextlib`` restore it in vain."""


_ClearError.__name__ = "WorkflowError"  # Snakemake shows the name of the class


class Executor(RealExecutor):  # type: ignore[misc] # the base class is untyped
    """Translates between Snakemake's calls and a ``Run``.

    It derives from ``RealExecutor`` and not from ``RemoteExecutor``: the latter polls, and
    completion is pushed here.
    """

    def __post_init__(self) -> None:
        """Check what can be checked before any job runs, and begin to start the cluster."""
        self._broke = False
        self._call(self._start)

    def _start(self) -> None:
        from snakemake_executor_plugin_ray.run import Run

        self._run = Run(
            workflow=self.workflow,
            settings=self.executor_settings or ExecutorSettings(),
            logger=self.logger,
            command=self.format_job_exec,
            succeeded=self._job_succeeded,
            failed=self._job_failed,
            crashed=self._crashed,
        )
        self._run.prepare()

    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit the jobs that are ready; the first of them wait for the cluster."""
        self._call(self._run.begin)
        super().run_jobs(jobs)

    def run_job(self, job: Any) -> None:
        """Submit one job or group job."""
        self._call(self._run.submit, job)
        self.report_job_submission(SubmittedJobInfo(job=job))

    def cancel(self) -> None:
        """End every job and everything that was started for them."""
        self._call(self._run.interrupt)

    def shutdown(self) -> None:
        """End the run in an orderly way."""
        failed = self._broke or bool(self.workflow.scheduler.failed)
        self._call(self._run.finish, failed=failed)

    def handle_job_success(self, job: Any) -> None:
        """Take note that Snakemake accepted the job's outputs."""
        self._call(self._run.accepted, job)

    def handle_job_error(self, job: Any) -> None:
        """Take note that Snakemake does not accept the job."""
        self._call(self._run.rejected, job)

    def get_exec_mode(self) -> ExecMode:
        """Return the mode of Snakemake processes that run a job on a node."""
        return ExecMode.REMOTE

    def get_python_executable(self) -> str:
        """Return a stand-in: the fork tier takes only the arguments from the command."""
        return "python"

    def additional_general_args(self) -> str:
        """Pass on ``--cache`` without rules, which Snakemake takes for none at all."""
        cache = self.workflow.workflow_settings.cache
        return "--cache" if cache is not None and not cache else ""

    @property
    def cores(self) -> str:
        """Leave a job on a node all the cores that its task was given."""
        return "all"

    def _job_succeeded(self, job: Any) -> None:
        self.report_job_success(SubmittedJobInfo(job=job))

    def _job_failed(self, job: Any, message: str, logs: list[str]) -> None:
        self.report_job_error(SubmittedJobInfo(job=job), msg=message, aux_logs=logs)

    def _crashed(self, error: Exception) -> None:
        """Let Snakemake end the run for an error of another thread, which nobody else sees."""
        from snakemake_repro.errors import ReproError

        self._broke = True
        said = _ClearError(error.render()) if isinstance(error, ReproError) else error
        self.workflow.scheduler.executor_error_callback(said)

    @staticmethod
    def _call(function: Any, *args: Any, **kwargs: Any) -> None:
        """Call, and turn our errors into Snakemake's: one message, no traceback."""
        from snakemake_repro.errors import ReproError

        try:
            function(*args, **kwargs)
        except ReproError as exc:
            raise _ClearError(exc.render()) from exc
