"""Run one command of a fork's job in the job's container.

Snakemake, which runs in the fork, starts this instead of a shell. What it starts holds the
container's standard input, like the worker of a job that is no fork (decision 9): when it dies, by
whatever, the container ends. What the container prints comes out of this process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.containers.run import EngineLostError, run
from snakemake_repro.backends.environments.shim import script_packages
from snakemake_repro.logic.containers import parse_usage
from snakemake_repro.operations.container_jobs import (
    container_job,
    open_cage,
    own_places,
)
from snakemake_repro.operations.planning import Plan
from snakemake_repro.records.tasks import Contained, ContainerRequest

LOST = "engine-lost"
"""File in the fork's directory that says: nothing is known of a container's result."""

PROBLEM = "problem"
"""File there with what is known of a failure beside the status."""

_STDOUT = 1
_CHUNK = 1 << 16


def run_contained(
    contained: Contained, plan: Plan, *, workdir: Path, usage: Path, shown: Sequence[str] = ()
) -> int:
    """Run a plan to its end; return its exit status.

    Args:
        contained: The job, and where it belongs.
        plan: What to run.
        workdir: Where; a shadow directory is another one than the run's.
        usage: File for what the container's cgroup counted.
        shown: Directories that it may read beside those of the job.

    Raises:
        EnvironmentBuildError: There is no engine, or it refuses the container.
        EngineLostError: It went away under the container.
    """
    scratch = Path(contained.scratch)
    asked = contained.member.container or ContainerRequest()
    request = dataclasses.replace(asked, sources=(*asked.sources, *shown))
    known = {name: os.environ[name] for name in contained.variables if name in os.environ}
    tmpdir = Path(os.environ["TMPDIR"])
    with _output(Path(contained.log), scratch) as output:
        engine = Engine(request.engine)
        cage = open_cage(
            [contained.member],
            request,
            workdir=contained.workdir,
            log=contained.log,
            scratch=contained.scratch,
            usage=str(usage),
            tmpdir=None if tmpdir.is_relative_to(scratch) else str(tmpdir),
            packages=script_packages(),
            shadow=str(workdir),
            output=output,
        )
        job = container_job(
            engine.facts,
            request,
            plan,
            image=contained.image,
            workdir=str(workdir),
            threads=contained.member.spec.threads,
            env=own_places(known, tmpdir=tmpdir, home=scratch / "home"),
            cage=cage,
            # an empty network is one process's, and every command has a process of its own
            shares=False,
        )
        try:
            status, said = run(engine, job)
        except EngineLostError as exc:
            (scratch / LOST).write_text(exc.message, encoding="utf-8")
            raise
    sys.stderr.write(said)
    counted = parse_usage(usage.read_text(encoding="utf-8") if usage.exists() else "")
    if status and (problem := counted.problem(job.memory)):
        sys.stderr.write(f"{problem}\n")
        (scratch / PROBLEM).write_text(problem, encoding="utf-8")
    return status


@contextlib.contextmanager
def _output(log: Path, scratch: Path) -> Iterator[str | None]:
    """Give the file that a container is to print to; ``None`` for the fork's own log.

    Whatever else standard output is (Snakemake reads it in ``shell(..., read=True)``), the
    container cannot have it. It gets a named pipe, which is copied.
    """
    if log.exists() and log.samefile(f"/proc/self/fd/{_STDOUT}"):
        yield None
        return
    pipe = scratch / f"output-{os.getpid()}"
    os.mkfifo(pipe)
    # the reading end is there before the container opens the other one, and waits for nobody
    source = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(source, True)
    # and this one keeps it open until the container is gone, or has never begun
    held = os.open(pipe, os.O_WRONLY)
    reader = threading.Thread(target=_copy, args=(source,), daemon=True)
    reader.start()
    try:
        yield str(pipe)
    finally:
        os.close(held)
        reader.join()
        pipe.unlink()


def _copy(source: int) -> None:
    """Copy to standard output; when nobody reads that, let the writer notice it."""
    with os.fdopen(source, "rb", buffering=0) as read, contextlib.suppress(BrokenPipeError):
        while chunk := read.read(_CHUNK):
            os.write(_STDOUT, chunk)
