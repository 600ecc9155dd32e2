"""The process environment of a job: its environment's, the node's, and what Snakemake sets."""

from __future__ import annotations

import json
import os

from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.logic.resources import THREAD_VARIABLES
from snakemake_repro.operations.container_jobs import TMPDIRS
from snakemake_repro.operations.surroundings import Surroundings
from snakemake_repro.records.tasks import Task

METRICS = "metrics.jsonl"
ARTIFACTS = "artifacts"
"""Names of what a job leaves for its record, in the directory that it shares with its worker."""

_RAY_VARIABLES = ("PYTHONBREAKPOINT", "SPT_NOENV", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
_EPOCH = "315532800"
"""1980-01-01, the earliest date that zip archives can hold (reproducible-builds.org)."""


def node_environ() -> dict[str, str]:
    """Return this worker's environment without what Ray put into it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RAY_") and name not in _RAY_VARIABLES
    }


def job_variables(
    task: Task, environment: RealisedEnvironment, where: Surroundings
) -> dict[str, str]:
    """Return the job's process environment.

    Args:
        task: Of the job.
        environment: Realised on this node.
        where: What surrounds the job.
    """
    env = environment.variables(where.environ)
    env.setdefault("PYTHONHASHSEED", "0")
    env.setdefault("SOURCE_DATE_EPOCH", _EPOCH)
    env.update(task.variables)
    env.update(dict.fromkeys(THREAD_VARIABLES, str(task.threads)))
    if task.gpus:  # a worker keeps the variable of its last task that had some
        env["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if task.command.tmpdir_wanted:  # what Snakemake sets for a job with this resource
        env.update(dict.fromkeys(TMPDIRS, where.tmpdir))
    first = task.members[0]
    description = {
        "id": first.id,
        "run": task.run_id,
        "rule": first.spec.rule if task.group is None else task.group,
        "wildcards": dict(first.spec.wildcards),
        "attempt": task.attempt,
        "threads": task.threads,
        "programs": environment.programs,
    }
    env["REPRO_JOB"] = json.dumps(description)
    env["REPRO_METRICS"] = f"{where.shared[1]}/{METRICS}"
    env["REPRO_ARTIFACTS"] = f"{where.shared[1]}/{ARTIFACTS}"
    return env
