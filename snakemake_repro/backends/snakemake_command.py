"""Snakemake as a process of its own, as its users start it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_snakemake(arguments: Sequence[str], workdir: Path, variables: Mapping[str, str]) -> int:
    """Run Snakemake in a directory; what it says goes to our standard error.

    Args:
        arguments: Of its command line.
        workdir: Where.
        variables: Beside our own.

    Returns:
        Its exit status; negative for a signal.
    """
    command = [sys.executable, "-m", "snakemake", *arguments]
    environ = {**os.environ, **variables}
    done = subprocess.run(command, cwd=workdir, env=environ, stdout=sys.stderr, check=False)
    return done.returncode
