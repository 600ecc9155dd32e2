"""What only the running Snakemake knows: its workflow, its jobs, its files while they last."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from snakemake_repro.backends.files import observe, recorded_path
from snakemake_repro.errors import ExecutionError
from snakemake_repro.records import FileRecord


def running_workflow() -> Any:
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


def jobs_by_number(workflow: Any) -> dict[int, Any]:
    """Return the jobs of a workflow by the numbers that events call them by."""
    # a copy in one step: Snakemake's own thread may add to it meanwhile
    numbers = dict(workflow.dag._jobid)  # noqa: SLF001 - the one place that has them
    return {number: job for job, number in numbers.items()}


class Temporaries:
    """Temporary outputs, read in Snakemake's own thread before it can remove them."""

    def __init__(self) -> None:
        self._jobs: dict[int, Any] = {}
        self._found: dict[str, FileRecord] = {}

    def keep(self, jobid: int) -> None:
        """Read the temporary outputs of a job that just finished.

        Raises:
            StorageError: One is there but cannot be read.
        """
        if jobid not in self._jobs:
            self._jobs = jobs_by_number(running_workflow())
        job, root = self._jobs.get(jobid), Path.cwd()
        for file in job.output if job is not None else ():
            if "temp" in (getattr(file, "flags", None) or ()):
                path = root / str(file)
                self._found[recorded_path(path, root)] = observe(path, root=root)

    def pop(self, path: str) -> FileRecord | None:
        """Return what was read at a path, and forget it."""
        return self._found.pop(path, None)
