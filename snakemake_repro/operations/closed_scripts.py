"""The scripts of hermetic jobs: made before the doors close, for Snakemake is not inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from snakemake_repro.backends.agents import Agent, Ended
from snakemake_repro.backends.environments.container import ContainerEnvironment
from snakemake_repro.backends.environments.shim import script_search_path
from snakemake_repro.operations.benchmarks import repetitions
from snakemake_repro.operations.container_jobs import TMPDIRS, NodeContainers
from snakemake_repro.operations.job_records import Place
from snakemake_repro.operations.planning import Plan, plan_call
from snakemake_repro.operations.rooms import room_tmpdir
from snakemake_repro.operations.surroundings import scratch_directory
from snakemake_repro.records.tasks import Task


class ClosedScripts:
    """Makes the scripts of this worker process."""

    def __init__(
        self, calls: Agent, containers: NodeContainers, environ: Mapping[str, str]
    ) -> None:
        """Remember the collaborators.

        Args:
            calls: The agent that knows Snakemake.
            containers: Plan what runs in a container.
            environ: The variables of the process that plans.
        """
        self._calls = calls
        self._containers = containers
        self._environ = environ

    def of(self, task: Task, place: Place) -> list[Plan] | Ended:
        """Return what a job is to run, each time that it runs, or how making it failed.

        There is nothing to make for a job that is not closed off, or that is a shell's text.
        """
        plans: list[Plan] = []
        if task.isolation is None or task.command.kind == "shell":
            return plans
        for command in repetitions(task.command):
            each = dataclasses.replace(task, command=command)
            planned = self._plan(each, place, append=bool(plans))
            if isinstance(planned, Ended):
                for plan in plans:
                    plan.discard(task.command)
                return planned
            plans.append(planned)
        return plans

    def _plan(self, task: Task, place: Place, *, append: bool) -> Plan | Ended:
        python = place.environment.python
        tmpdir = dict.fromkeys(TMPDIRS, room_tmpdir(task.command))
        with scratch_directory() as scratch:
            if isinstance(place.environment, ContainerEnvironment):
                return self._containers.plan(task, tmpdir, scratch, append=append)
            return plan_call(
                self._calls,
                task,
                env={**self._environ, **(tmpdir if task.command.tmpdir_wanted else {})},
                scratch=scratch,
                python=python,
                search_path=None if python is None else script_search_path(place.store),
                programs=place.environment.programs,
                append=append,
            )
