"""Helpers of a job: programs in its environment, on processors that the cluster has left.

A job whose rule has the resource ``helpers`` is told of a socket where it asks for them, and
speaks with each through the connection. What runs on no node is no loss: a helper that the
cluster has no place for waits, and the job works without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import snakemake_repro
from snakemake_repro.backends.environments.shim import script_search_path
from snakemake_repro.backends.environments.store import NodeEnvironments, default_root
from snakemake_repro.backends.ray_helpers import Desk, Launch
from snakemake_repro.errors import ExecutionError
from snakemake_repro.logic.resources import accelerators_of, labels_of, most_helpers_of
from snakemake_repro.operations.surroundings import surroundings
from snakemake_repro.operations.variables import job_variables, node_environ
from snakemake_repro.records import EnvironmentKind, EnvironmentRecord
from snakemake_repro.records.tasks import HELPERS_OFFER, Task, Wish

_RUN = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
"""What finds our package without a variable, which the helper's own programs would inherit."""


def why_without(task: Task) -> str | None:
    """Return why a task that asks for helpers can have none; ``None`` where it may or asks not."""
    if not any(most_helpers_of(member.resources) for member in task.members):
        return None
    if task.group is not None:
        return "the jobs of a group have none"
    if task.isolation is not None:
        return "a hermetic job has none"
    if task.container is not None:
        return "a job in a container has none"
    if task.shipment is not None:
        return "they need a file system that all nodes share"
    if task.command.kind != "call" or not isinstance(task.command.call, Mapping):
        return "only a rule with a script or a wrapper has some"
    if task.command.call["modules"] or task.command.call["shell"]["prefix"]:
        return "a rule with environment modules or a prefix of its shell has none"
    return None


@contextlib.contextmanager
def helpers_of(task: Task, environment: EnvironmentRecord) -> Iterator[dict[str, str]]:
    """Let a job ask for helpers while it runs; give the variable that tells it how.

    Args:
        task: Of the job.
        environment: What it consists of where the job runs.
    """
    first = task.members[0]
    most = most_helpers_of(first.resources)
    if not most or why_without(task) is not None:
        yield {}
        return
    with Desk(
        prepared,
        functools.partial(_payload, task, str(environment.digest)),
        most=most,
        labels=labels_of(f"rule {first.spec.rule}", first.resources),
        accelerators=functools.partial(accelerators_of, first.resources),
    ) as path:
        yield {HELPERS_OFFER: json.dumps({"socket": path, "most": most})}


@contextlib.contextmanager
def prepared(payload: bytes) -> Iterator[Launch]:
    """Give what starts a helper on this node, in the environment of its job.

    Raises:
        ReproError: The environment cannot be realised here or is another one, or the job's files
            are elsewhere.
    """
    data = json.loads(payload)
    task = Task.from_dict(data["task"])
    log = Path(task.workdir, task.log)
    if not log.is_file():
        raise ExecutionError(f"{log}: expected the job's files on this node as well, got none")
    store = Path(task.environment_store) if task.environment_store else default_root()
    environment = NodeEnvironments(store).realise(task.environment)
    if str(environment.record.digest) != data["environment"]:
        raise ExecutionError(
            "expected the packages on this node that the job has, got others; lock the rule's "
            "environment, or install the same on all nodes"
        )
    pinned = task.environment.kind is not EnvironmentKind.HOST
    ours = script_search_path(store) if pinned else Path(snakemake_repro.__file__).parents[1]
    with surroundings(task, environment, environ=node_environ(), store=store, plans=()) as where:
        python = (environment.python if pinned else None) or sys.executable
        yield Launch(
            argv=(python, "-P", "-c", _RUN, str(ours), data["module"]),
            environ=job_variables(task, environment, where),
            directory=task.directory,
            log=str(log),
        )


def _payload(task: Task, environment: str, wish: Wish) -> bytes:
    """Return what ``prepared`` takes.

    Raises:
        ExecutionError: The helper would not see what the job sees.
    """
    if task.gpus and not wish.gpus:
        raise ExecutionError("trials share the job's GPU; give each one of its own with gpus=")
    helped = dataclasses.replace(task, threads=max(1, int(wish.cpus)), gpus=wish.gpus, known=None)
    data = {"task": helped.to_dict(), "environment": environment, "module": wish.module}
    return json.dumps(data).encode()
