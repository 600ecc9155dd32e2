"""A shell in the container of a rule."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from snakemake_repro.backends.containers.node import connect
from snakemake_repro.backends.containers.terminal import command_line, host_variables
from snakemake_repro.backends.environments.container import realise
from snakemake_repro.backends.environments.imagelock import image_lock_path
from snakemake_repro.backends.environments.store import default_root
from snakemake_repro.backends.foreground import run_in_foreground
from snakemake_repro.backends.snakemake_workflow import find_snakefile
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.logic.images import ImageName
from snakemake_repro.operations.images import pinned
from snakemake_repro.records import EnvironmentSpec
from snakemake_repro.records.tasks import APPTAINER, ENGINES


def run_in_container(
    name: str,
    command: Sequence[str],
    *,
    workdir: Path,
    store: Path | None,
    engine: str = ENGINES[0],
    waiting: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> int:
    """Run a command in a container by its digest, pulling the image first if need be.

    Args:
        name: As in a rule's ``container:``.
        command: Program and arguments; none of them for a shell.
        workdir: Where it runs; the container sees it at the same path.
        store: ``None`` for the default one.
        engine: One of ``ENGINES``.
        waiting: Entered while the image is pulled.

    Returns:
        The exit code of the command.

    Raises:
        EnvironmentSpecError: It is no image of a registry, or not locked.
        EnvironmentBuildError: There is no engine, or the image cannot be had.
        UsageError: The engine's program cannot be started.
    """
    image, place = ImageName.parse(name), workdir.resolve()
    if engine == APPTAINER:
        raise EnvironmentBuildError(
            f"`repro env shell` opens no container of Apptainer: {name}",
            hint="`apptainer shell` does, with the digest that the lock has.",
        )
    spec = _spec(name, image, workdir)
    root = store or default_root()
    connected = connect(engine, root)
    with waiting(), tempfile.TemporaryDirectory(prefix="repro-") as scratch:
        environment = realise(connected, spec, root=root, log=Path(scratch, "log"))
    variables = environment.variables(os.environ)
    argv = command_line(
        engine,
        connected.facts,
        image=environment.image,
        command=command,
        workdir=place,
        variables=variables,
        prompt=f"({image.text}) \\w\\$ ",
    )
    environ = {**os.environ, **host_variables(engine)}
    return run_in_foreground(argv, env=environ, cwd=place)


def _spec(name: str, image: ImageName, workdir: Path) -> EnvironmentSpec:
    snakefile = find_snakefile(workdir) or workdir / "Snakefile"
    spec = pinned(name, image, image_lock_path(snakefile), workdir)
    if spec is None:
        raise EnvironmentSpecError(
            f"the container {image.text} is not locked by the workflow in {workdir}",
            hint="`repro lock` makes the lock; or name the image by its digest, "
            "docker://NAME@sha256:...",
        )
    return spec
