"""What surrounds a job on its node: the host as it is, or a room with what its rule declares."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from snakemake_repro.backends.basesystem import Base, base_system
from snakemake_repro.backends.bubblewrap import probe
from snakemake_repro.backends.environments.container import ContainerEnvironment
from snakemake_repro.backends.environments.shim import script_packages, script_search_path
from snakemake_repro.backends.environments.store import default_root
from snakemake_repro.backends.settingsfiles import HOME
from snakemake_repro.backends.staging import code_beside, discard, staged
from snakemake_repro.errors import IsolationError
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.logic.sandbox import Sandbox, lies_in, plan
from snakemake_repro.operations.cells import Cell
from snakemake_repro.operations.planning import Plan
from snakemake_repro.operations.rooms import BESIDE, TMP, Room, Window, needed_tracer, room_tmpdir
from snakemake_repro.records import Isolation, IsolationMode
from snakemake_repro.records.tasks import IsolationRequest, Task

STAGE_ROOT = ".snakemake/ray/stage"
"""Where files are staged: on the file system of the working directory."""


class Host:
    """The node as it is.

    Attributes:
        environ: The variables that the job's environment starts from.
        tmpdir: The job's directory for temporary files.
        shared: What passes between this process and the job, here and as the job sees it.
        isolation: What is closed to the job, if anything is.
    """

    linked: tuple[str, ...] = ()

    def __init__(
        self,
        environ: Mapping[str, str],
        task: Task,
        scratch: Path,
        isolation: Isolation | None = None,
    ) -> None:
        self.environ = environ
        self.isolation = isolation
        self.tmpdir = task.command.tmpdir or tempfile.gettempdir()
        self.shared = (scratch, str(scratch))
        Path(task.workdir, self.tmpdir).mkdir(parents=True, exist_ok=True)

    def place_of(self, path: str) -> str:
        """Return where a file of the rule is written that the job does not write itself."""
        return path

    def leave(self, *, succeeded: bool) -> tuple[str, ...]:  # noqa: ARG002
        """Keep what the rule declares; return what the job did beyond that, as far as known."""
        return ()


Surroundings: TypeAlias = Host | Room | Window | Cell


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Code:
    """The files and directories of a script."""

    files: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()


@contextlib.contextmanager
def surroundings(
    task: Task,
    environment: RealisedEnvironment,
    *,
    environ: Mapping[str, str],
    store: Path,
    plans: Sequence[Plan],
) -> Iterator[Surroundings]:
    """Prepare the place where a task's job runs, and clear it away after.

    Args:
        task: One that is to be closed off has one member.
        environment: Realised on this node.
        environ: This node's variables, for a job that is not closed off.
        store: The node's store of environments.
        plans: What is to run there, where that is a script; one for each run of a benchmark.

    Raises:
        IsolationError: The job cannot be closed off.
    """
    if task.isolation is None:
        with scratch_directory() as scratch:
            yield Host(environ, task, scratch, _without_network(task, environment))
        return
    if isinstance(environment, ContainerEnvironment):
        with _cell(task, environment, plans) as cell:
            yield cell
        return
    watched = task.isolation.watches
    base = base_system(None if watched else task.isolation.base, store)
    probe(base)
    sandbox = _sandbox_above(task, environment, base, _code(plans, environment, store))
    if watched:
        with scratch_directory(task.command.tmpdir) as scratch:
            yield Window(task, environment, base=base, sandbox=sandbox, scratch=scratch)
        return
    with (
        scratch_directory(task.command.tmpdir) as scratch,
        staged(sandbox, _stage_of(task), scratch, BESIDE) as stage,
    ):
        yield Room(task, environment, base=base, sandbox=sandbox, stage=stage, scratch=scratch)


def _without_network(task: Task, environment: RealisedEnvironment) -> Isolation | None:
    """Return what is closed to a job in an open container that has no network."""
    if not isinstance(environment, ContainerEnvironment):
        return None
    if task.container is None or task.container.network:
        return None
    return Isolation(
        mode=IsolationMode.OPEN,
        means=environment.engine.facts.name,
        closed=("network", "host name", "processes"),
        open=("clock", "files", "user", "variables"),
    )


@contextlib.contextmanager
def _cell(task: Task, environment: ContainerEnvironment, plans: Sequence[Plan]) -> Iterator[Cell]:
    sandbox = _sandbox(task, _files(plans), system=(), environment=())
    packages = script_packages() if plans else {}
    with (
        scratch_directory(task.command.tmpdir) as scratch,
        staged(sandbox, _stage_of(task), scratch, BESIDE) as stage,
    ):
        yield Cell(task, environment, stage=stage, scratch=scratch, packages=packages)


def _stage_of(task: Task) -> Path:
    return Path(task.workdir, STAGE_ROOT, task.run_id, task.id)


def check_isolation(requests: Iterable[IsolationRequest | None], store: Path | None) -> None:
    """Make sure that this machine can close jobs off as asked, before any runs.

    Raises:
        IsolationError: It cannot.
    """
    asked = {(request.mode, request.base) for request in requests if request is not None}
    for mode, directory in asked:
        watched = mode is IsolationMode.REPORT
        base = base_system(None if watched else directory, store or default_root())
        probe(base)
        if watched:
            needed_tracer(base)


def clear_stages(workdir: Path, run_id: str | None = None) -> None:
    """Remove what killed jobs left staged; to be called while none of them runs.

    Args:
        workdir: Of the workflow.
        run_id: The run whose jobs they are; ``None`` for all.
    """
    root = workdir / STAGE_ROOT
    discard(root / (run_id or ""))
    with contextlib.suppress(OSError):  # another run has its own there
        root.rmdir()


def _code(plans: Sequence[Plan], environment: RealisedEnvironment, store: Path) -> _Code:
    """Return what a script needs beside its environment."""
    files = _files(plans)
    if not files or environment.python is None:
        return _Code(files=files)
    packages = script_packages().values()
    return _Code(files=files, directories=(str(script_search_path(store)), *packages))


def _files(plans: Sequence[Plan]) -> tuple[str, ...]:
    scripts = [str(plan.script) for plan in plans if plan.script is not None]
    sources = {plan.source for plan in plans if plan.source is not None}
    return (
        *scripts,
        *map(str, sources),
        *(path for source in sources for path in code_beside(source)),
    )


def _sandbox_above(
    task: Task, environment: RealisedEnvironment, base: Base, code: _Code
) -> Sandbox:
    """Plan a job's sandbox above system files, which must not hide its environment."""
    directories = (*environment.directories, *code.directories)
    hidden = [
        path
        for path in directories
        if base.record.path and any(path == d or lies_in(path, d) for d in base.directories)
    ]
    if hidden:
        raise IsolationError(
            f"the environment {environment.record.name} lives in {hidden[0]}, where the base "
            f"system {base.record.path} has its own files",
            hint="Use an environment whose interpreter lies elsewhere, or leave --ray-base away.",
        )

    return _sandbox(task, code.files, system=base.directories, environment=directories)


def _sandbox(
    task: Task, code: Iterable[str], *, system: Iterable[str], environment: Iterable[str]
) -> Sandbox:
    [member] = task.members
    benchmark = [] if task.command.benchmark is None else [task.command.benchmark.path]

    def absolute(path: str) -> str:
        return os.path.normpath(Path(task.workdir, path))

    return plan(
        rule=member.spec.rule,
        workdir=task.workdir,
        inputs=[*(absolute(file.path) for file in member.spec.inputs), *code],
        outputs=[*(absolute(file.path) for file in member.spec.outputs), *benchmark],
        logs=[absolute(path) for path in member.logs],
        system=system,
        environment=environment,
        temporary={HOME, TMP, absolute(room_tmpdir(task.command)), tempfile.gettempdir()},
        shadow=task.isolation is not None and task.isolation.shadow,
    )


@contextlib.contextmanager
def scratch_directory(directory: str | None = None) -> Iterator[Path]:
    """Give a private directory for what passes between this process and its job."""
    if directory is not None:
        Path(directory).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="repro-", dir=directory, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)
