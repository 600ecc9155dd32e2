"""Run Snakemake in a fork with the environment of each job (``backends.snakemake_forks``)."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from snakemake_repro.backends.agents import Agent, Ended
from snakemake_repro.backends.containers.run import EngineLostError
from snakemake_repro.backends.environments.container import ContainerEnvironment
from snakemake_repro.backends.environments.shim import script_search_path
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.logic.containers import SCRIPT_PACKAGES, Usage, parse_usage
from snakemake_repro.operations.contained import LOST, PROBLEM
from snakemake_repro.operations.container_jobs import TMPDIRS
from snakemake_repro.operations.job_records import Place
from snakemake_repro.records import EnvironmentKind, ResourceUse
from snakemake_repro.records.tasks import Command, Contained, Inside, Member, Task

_MEMBERS = "members.json"
_RUNNER = "snakemake_repro.contained"


def run_fork(
    calls: Agent,
    command: Command,
    task: Task,
    place: Place,
    *,
    variables: Callable[[RealisedEnvironment], Mapping[str, str]],
    scratch: Path,
) -> Ended:
    """Run a task's fork to its end.

    Args:
        calls: The agent that has Snakemake loaded.
        command: Of the task.
        task: Some of its members have environments of their own.
        place: Has them realised.
        variables: Gives the variables of a job in an environment.
        scratch: The task's own directory.

    Raises:
        EngineLostError: The engine went away under one of its containers.
    """
    env = dict(variables(place.environment))
    if any(isinstance(one, ContainerEnvironment) for one in place.members.values()):
        # on a disk of the node, and the same for all members
        tmpdir = scratch / "tmp"
        tmpdir.mkdir()
        env |= dict.fromkeys(TMPDIRS, str(tmpdir))
    inside = [
        _inside(member, task, place, env=env, own=variables(place.of(member)), scratch=scratch)
        for member in task.members
    ]
    file = scratch / _MEMBERS
    file.write_text(json.dumps([one.to_dict() for one in inside]), encoding="utf-8")
    cwd = Path(command.directory or place.root)
    ended = calls.run(command, cwd=cwd, env=env, log=place.root / task.log, members=file)
    if (lost := scratch / LOST).exists():
        raise EngineLostError(lost.read_text(encoding="utf-8"))
    counted = [parse_usage(path.read_text(encoding="utf-8")) for path in scratch.glob("usage-*")]
    problem = scratch / PROBLEM
    return dataclasses.replace(
        ended,
        use=_together(ended.use, counted),
        problem=problem.read_text(encoding="utf-8") if problem.exists() else None,
    )


def _inside(
    member: Member,
    task: Task,
    place: Place,
    *,
    env: Mapping[str, str],
    own: Mapping[str, str],
    scratch: Path,
) -> Inside:
    """Return where a member's commands run, and what brings them there.

    Args:
        member: One of the task's.
        task: The fork's.
        place: Has the member's environment.
        env: Variables of the fork.
        own: Variables of the member.
        scratch: The fork's own directory.
    """
    environment = place.of(member)
    record = environment.record
    common = Inside(
        rule=member.spec.rule,
        wildcards=member.spec.wildcards,
        name=record.name,
        digest=str(record.digest),
    )
    if record.kind is EnvironmentKind.HOST:
        return dataclasses.replace(common, host=True)
    if isinstance(environment, ContainerEnvironment):
        contained = Contained(
            member=member,
            image=environment.image,
            workdir=task.workdir,
            log=str(place.root / task.log),
            scratch=str(scratch),
            variables=tuple(own),
        )
        file = scratch / f"member-{member.id}.json"
        file.write_text(json.dumps(contained.to_dict()), encoding="utf-8")
        return dataclasses.replace(
            common,
            search_path=SCRIPT_PACKAGES,
            program=(sys.executable, "-P", "-m", _RUNNER, str(file)),
        )
    return dataclasses.replace(
        common,
        search_path=str(script_search_path(place.store)),
        sets={name: value for name, value in own.items() if env.get(name) != value},
        unsets=tuple(name for name in env if name not in own and name not in TMPDIRS),
    )


def _together(use: ResourceUse, counted: list[Usage]) -> ResourceUse:
    """Add what containers used to what the fork used, which only waits for them."""
    inside = Usage(
        user_s=(use.cpu_user_s or 0) + sum(usage.user_s for usage in counted),
        system_s=(use.cpu_system_s or 0) + sum(usage.system_s for usage in counted),
        peak=max((usage.peak for usage in counted), default=0),
    ).resource_use(use.wall_s)
    peak = max(use.max_rss_mb or 0, inside.max_rss_mb or 0)
    return dataclasses.replace(
        use, cpu_user_s=inside.cpu_user_s, cpu_system_s=inside.cpu_system_s, max_rss_mb=peak
    )
