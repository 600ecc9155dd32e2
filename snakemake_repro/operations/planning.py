"""Scripts, notebooks and wrappers as commands for a shell, to be run where Snakemake is not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from snakemake_repro.backends.agents import Agent, Ended
from snakemake_repro.records.tasks import Command, Task


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A text for a shell, and the script that Snakemake wrote for it, if any.

    Attributes:
        shell: Name or path of the shell.
        script: The script with Snakemake's preamble.
        source: The script as its author wrote it.
    """

    text: str
    shell: str
    script: Path | None = None
    source: Path | None = None

    def discard(self, command: Command) -> None:
        """Remove the script once it ran, unless Snakemake is to keep such scripts."""
        removes = isinstance(command.call, dict) and command.call.get("cleanup_scripts")
        if self.script is not None and removes:
            self.script.unlink(missing_ok=True)


def plan_call(
    calls: Agent,
    task: Task,
    *,
    env: Mapping[str, str],
    scratch: Path,
    python: str | None,
    search_path: Path | None,
    programs: str | None = None,
    append: bool = False,
) -> Plan | Ended:
    """Let Snakemake write the script with its preamble, and say how it would start it.

    What it cannot prepare is the job's failure, as on the host.

    Args:
        calls: The agent that knows Snakemake.
        task: Its command is a call.
        env: The variables of the process that plans.
        scratch: Directory for what it answers.
        python: The interpreter that Python scripts are to run in; ``None`` for Snakemake's.
        search_path: Where it is to find Snakemake's modules, likewise.
        programs: Directory with what other scripts are to run in, likewise.
        append: Keep what is in the log.
    """
    command, path = task.command, scratch / "plan.json"
    assert isinstance(command.call, dict)
    ended = calls.run(
        dataclasses.replace(command, call={**command.call, "cleanup_scripts": False}),
        cwd=Path(task.directory),
        env=env,
        log=Path(task.workdir, task.log),
        python=python,
        search_path=search_path,
        programs=programs,
        plan=path,
        append=append,
    )
    if ended.status:
        return ended
    found = json.loads(path.read_text(encoding="utf-8"))
    return Plan(
        text=found["text"],
        shell=found["shell"],
        script=Path(task.directory, found["script"]),
        source=Path(task.directory, found["source"]),
    )
