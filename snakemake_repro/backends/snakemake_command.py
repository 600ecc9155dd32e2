"""Snakemake as a process of its own, as its users start it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_snakemake(
    arguments: Sequence[str],
    workdir: Path,
    variables: Mapping[str, str | None],
    through: Sequence[str] = (),
) -> int:
    """Run Snakemake in a directory; what it says goes to our standard error.

    Args:
        arguments: Of its command line.
        workdir: Where.
        variables: Beside our own; ``None`` for those of ours that it is not to have.
        through: A program that starts it, with its arguments.

    Returns:
        Its exit status; negative for a signal.
    """
    command = [*through, sys.executable, "-m", "snakemake", *arguments]
    wanted = {**os.environ, **variables}
    environ = {name: value for name, value in wanted.items() if value is not None}
    done = subprocess.run(command, cwd=workdir, env=environ, stdout=sys.stderr, check=False)
    return done.returncode
