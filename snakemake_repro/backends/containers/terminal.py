"""A container in the user's terminal, through the engine's own program: it knows terminals."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from snakemake_repro.backends.containers.engine import HOSTS, listens_at
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.logic.containers import Facts

_USUAL = "unix:///var/run/docker.sock"
_SHELL = (
    *("sh", "-c"),
    "if command -v bash > /dev/null; then exec bash --noprofile --norc; else exec sh; fi",
)


def program(kind: str) -> str:
    """Return the path of an engine's program.

    Raises:
        EnvironmentBuildError: It is not there.
    """
    path = shutil.which(kind)
    if path is None:
        raise EnvironmentBuildError(
            f"a container in a terminal needs the program {kind}, and it is not here",
            hint="The package of the engine's command line brings it.",
        )
    return path


def command_line(
    kind: str,
    facts: Facts,
    *,
    image: str,
    command: Sequence[str],
    workdir: Path,
    variables: Mapping[str, str],
    prompt: str,
) -> list[str]:
    """Return how a command runs in a container that shows it the working directory.

    Args:
        kind: Of the engine.
        facts: Likewise.
        image: As the engine calls it.
        command: Program and arguments; none of them for a shell.
        workdir: Where it runs, at the same path.
        variables: Those that the container gets; their values are in the environment alone.
        prompt: Of the shell.

    Raises:
        EnvironmentBuildError: The engine's program is not there.
    """
    argv = [program(kind), *(("--remote",) if kind == "podman" else ()), "run", "--rm"]
    argv += ["--interactive", *(("--tty",) if _is_terminal() else ())]
    argv += ["--user", "0:0" if facts.rootless else f"{os.getuid()}:{os.getgid()}"]
    argv += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host"]
    argv += ["--security-opt", "label=disable"] if facts.labels else []
    argv += ["--init"] if facts.init else []
    argv += ["--mount", _fields("type=bind", f"source={workdir}", f"target={workdir}")]
    argv += ["--workdir", str(workdir), "--entrypoint", "", "--env", "HOME=/tmp"]
    argv += ["--env", f"PS1={prompt}"]
    for name in variables:
        argv += ["--env", name]
    return [*argv, image, *(command or _SHELL)]


def host_variables(kind: str) -> dict[str, str]:
    """Return what tells the engine's program where the engine listens that we speak with."""
    return {HOSTS[kind]: listens_at(kind) or _USUAL}


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _fields(*fields: str) -> str:
    """Return fields as the program reads them: a path may hold commas and quotes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
