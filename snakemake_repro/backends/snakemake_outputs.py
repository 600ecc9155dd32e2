"""What Snakemake does on the driver before a job runs in the direct tier."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from snakemake_repro.backends.staging import discard
from snakemake_repro.errors import StorageError
from snakemake_repro.records.tasks import Task


def prepared(task: Task, job: Any, workflow: Any) -> Task:
    """Make the places of a job's outputs and its shadow directory, if it has one.

    It is what Snakemake's own ``prepare`` does, except for the temporary directory. That one is
    the node's; here it is a stand-in, of which ``prepare`` would make a directory of that name.
    A job that is closed off has staged directories, and needs no shadow of them.
    """
    resources, rule = job.resources, job.rule
    held, depth = resources.get("tmpdir"), rule.shadow_depth
    if held is not None:
        resources.tmpdir = ""
    if task.isolation is not None and not task.isolation.watches:
        rule.shadow_depth = None
    try:
        workflow.async_run(job.prepare())
    finally:
        rule.shadow_depth = depth
        if held is not None:
            resources.tmpdir = held
    shadow = None if job.shadow_dir is None else str(Path(job.shadow_dir).absolute())
    return dataclasses.replace(task, shadow=shadow)


def prepared_again(task: Task, job: Any, workflow: Any) -> Task:
    """Give a job that was lost another shadow directory, if it had one.

    Raises:
        StorageError: It cannot be made.
    """
    from snakemake.exceptions import WorkflowError

    if task.shadow is None:
        return task
    discard(Path(task.shadow))
    try:
        return prepared(task, job, workflow)
    except (WorkflowError, OSError) as exc:
        raise StorageError(f"cannot make the shadow directory of a job again: {exc}") from exc
