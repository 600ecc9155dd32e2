"""Benchmarks of jobs that Snakemake does not start itself: in containers, and closed off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from snakemake_repro.backends.agents import Agent, Ended
from snakemake_repro.records import ResourceUse
from snakemake_repro.records.tasks import Command


def run_measured(
    command: Command,
    run: Callable[[Command, bool], Ended],
    calls: Agent,
    *,
    env: Mapping[str, str],
    workdir: Path,
    log: Path,
) -> Ended:
    """Run a command as often as its benchmark says, and let Snakemake write the file.

    Args:
        command: Has a benchmark.
        run: Runs it in a container; keeps what is in the log, if told so.
        calls: The agent that has Snakemake loaded.
        env: Variables of the process that writes the file.
        workdir: Where its path begins.
        log: Of the job.
    """
    wanted = command.benchmark
    assert wanted is not None
    uses: list[ResourceUse] = []
    for repetition in repetitions(command):
        ended = run(repetition, bool(uses))
        if ended.status:
            return ended
        uses.append(ended.use)
    measured = [[use.wall_s, use.cpu_s or 0.0, use.max_rss_mb or 0.0] for use in uses]
    writing = dataclasses.replace(
        command, kind="benchmark", benchmark=dataclasses.replace(wanted, measured=measured)
    )
    written = calls.run(writing, cwd=workdir, env=env, log=log, append=True)
    return dataclasses.replace(written, use=_together(uses))


def closed_off(command: Command, entered: Sequence[Command]) -> Command:
    """Return the command that runs a job that is closed off as often as it is to run.

    Args:
        command: Of the job.
        entered: How each of its runs starts.
    """
    if command.benchmark is None:
        [only] = entered
        return only
    programs = [list(program.argv) for program in entered]
    return dataclasses.replace(
        command, benchmark=dataclasses.replace(command.benchmark, programs=programs)
    )


def repetitions(command: Command) -> list[Command]:
    """Return a command as it runs each time; a script may ask which time it is."""
    if command.benchmark is None:
        return [command]
    return [_repetition(command, iteration) for iteration in range(command.benchmark.repeats)]


def _repetition(command: Command, iteration: int) -> Command:
    if not isinstance(command.call, dict):
        return command
    return dataclasses.replace(command, call={**command.call, "bench_iteration": iteration})


def _together(uses: list[ResourceUse]) -> ResourceUse:
    return ResourceUse(
        wall_s=sum(use.wall_s for use in uses),
        cpu_user_s=sum(use.cpu_user_s or 0.0 for use in uses),
        cpu_system_s=sum(use.cpu_system_s or 0.0 for use in uses),
        max_rss_mb=max(use.max_rss_mb or 0.0 for use in uses),
    )
