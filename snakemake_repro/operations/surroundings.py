"""What surrounds a job on its node: the host as it is, or a room with what its rule declares."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from snakemake_repro.backends.basesystem import Base, base_system, name_service, write_identity
from snakemake_repro.backends.bubblewrap import USER_ID, View, command_line, probe, version
from snakemake_repro.backends.environments.shim import script_packages, script_search_path
from snakemake_repro.backends.environments.store import default_root
from snakemake_repro.backends.staging import Stage, code_beside, discard, staged
from snakemake_repro.errors import IsolationError
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.logic.sandbox import Mount, Sandbox, lies_in, plan
from snakemake_repro.operations.planning import Plan
from snakemake_repro.records import EnvironmentKind, Isolation
from snakemake_repro.records.tasks import Command, IsolationRequest, Task

STAGE_ROOT = ".snakemake/ray/stage"
"""Where files are staged: on the file system of the working directory."""

_PRIVATE = "/run/repro"
_BESIDE = "/run/repro-inputs"
_HOME = "/run/home"
_TMP = "/tmp"  # noqa: S108 - the job's own
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FIXED = {
    "HOME": _HOME,
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "LOGNAME": "job",
    "TZ": "UTC",
    "USER": "job",
}
_CLOSED = (
    "files",
    "network",
    "processes",
    "variables",
    "user",
    "host name",
    "locale",
    "time zone",
    "umask",
)


class Host:
    """The node as it is.

    Attributes:
        environ: The variables that the job's environment starts from.
        tmpdir: The job's directory for temporary files.
        shared: What passes between this process and the job, here and as the job sees it.
    """

    isolation: Isolation | None = None
    linked: tuple[str, ...] = ()

    def __init__(self, environ: Mapping[str, str], command: Command, scratch: Path) -> None:
        self.environ = environ
        self.tmpdir = command.tmpdir or tempfile.gettempdir()
        self.shared = (scratch, str(scratch))
        Path(self.tmpdir).mkdir(parents=True, exist_ok=True)

    def leave(self, *, succeeded: bool) -> tuple[str, ...]:  # noqa: ARG002
        """Keep what the rule declares; return what the job did beyond that, as far as known."""
        return ()


class Room:
    """A place that shows the job what its rule declares and nothing else; like ``Host``."""

    def __init__(
        self, task: Task, environment: RealisedEnvironment, base: Base, stage: Stage, scratch: Path
    ) -> None:
        assert task.isolation is not None
        self._task = task
        self._request = task.isolation
        self._base = base
        self._stage = stage
        self._scratch = scratch
        self.environ = _closed_variables(environment)
        self.tmpdir = room_tmpdir(task.command)
        self.shared = (scratch / "shared", _PRIVATE)
        self.shared[0].mkdir()
        self.linked = stage.linked

    @property
    def isolation(self) -> Isolation:
        """How the job is closed off."""
        network = self._request.network
        return Isolation(
            mode=self._request.mode,
            means=version(),
            closed=tuple(name for name in _CLOSED if not (network and name == "network")),
            open=("clock", "network") if network else ("clock",),
            base=self._base.record,
        )

    def enter(self, plan: Plan, env: Mapping[str, str]) -> Command:
        """Return the command that runs a text for a shell here."""
        own = Mount(source=str(self.shared[0]), target=_PRIVATE, writable=True)
        view = View(
            base=self._base,
            mounts=(*self._stage.mounts, own, *self._identity()),
            workdir=self._task.workdir,
            variables=env,
            network=self._request.network,
        )
        argv = [plan.shell, "-c", plan.text]
        line = command_line(view, argv, self._scratch / "arguments")
        return Command(kind="program", argv=tuple(line))

    def leave(self, *, succeeded: bool) -> tuple[str, ...]:
        """Keep what the rule declares; return what the job did beyond that."""
        violations = tuple(
            f"wrote {_shown(path, self._task.workdir)}, which it does not declare"
            for path in self._stage.undeclared()
        )
        self._stage.promote(outputs=succeeded and not violations)
        return violations

    def _identity(self) -> tuple[Mount, ...]:
        names = name_service() if self._request.network else ()
        taken = {mount.target for mount in names}
        own = write_identity(self._scratch / "etc", uid=USER_ID, home=_HOME)
        mounts = (*names, *(mount for mount in own if mount.target not in taken))
        return tuple(m for m in mounts if self._base.has_room_for(m.target))


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
    plan: Plan | None,
) -> Iterator[Host | Room]:
    """Prepare the place where a task's job runs, and clear it away after.

    Args:
        task: One that is to be closed off has one member.
        environment: Realised on this node.
        environ: This node's variables, for a job that is not closed off.
        store: The node's store of environments.
        plan: What is to run there, where that is a script.

    Raises:
        IsolationError: The job cannot be closed off.
    """
    if task.isolation is None:
        with scratch_directory() as scratch:
            yield Host(environ, task.command, scratch)
        return
    base = base_system(task.isolation.base, store)
    probe(base)
    sandbox = _sandbox(task, environment, base, _code(plan, environment, store))
    place = Path(task.workdir, STAGE_ROOT, task.run_id, task.id)
    with (
        scratch_directory(task.command.tmpdir) as scratch,
        staged(sandbox, place, scratch, _BESIDE) as stage,
    ):
        yield Room(task, environment, base, stage, scratch)


def room_tmpdir(command: Command) -> str:
    """Return the directory for temporary files that a hermetic job is given."""
    return command.tmpdir or _TMP


def check_isolation(requests: Iterable[IsolationRequest | None], store: Path | None) -> None:
    """Make sure that this machine can close jobs off as asked, before any runs.

    Raises:
        IsolationError: It cannot.
    """
    for directory in {request.base for request in requests if request is not None}:
        probe(base_system(directory, store or default_root()))


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


def _code(plan: Plan | None, environment: RealisedEnvironment, store: Path) -> _Code:
    """Return what a script needs beside its environment."""
    if plan is None or plan.script is None or plan.source is None:
        return _Code()
    files = (str(plan.script), str(plan.source), *code_beside(plan.source))
    if environment.python is None:
        return _Code(files=files)
    packages = script_packages().values()
    return _Code(files=files, directories=(str(script_search_path(store)), *packages))


def _sandbox(task: Task, environment: RealisedEnvironment, base: Base, code: _Code) -> Sandbox:
    [member] = task.members
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

    def absolute(path: str) -> str:
        return os.path.normpath(Path(task.workdir, path))

    return plan(
        rule=member.spec.rule,
        workdir=task.workdir,
        inputs=[*(absolute(file.path) for file in member.spec.inputs), *code.files],
        outputs=[absolute(file.path) for file in member.spec.outputs],
        logs=[absolute(path) for path in member.logs],
        system=base.directories,
        environment=directories,
        temporary={_TMP, _HOME, absolute(room_tmpdir(task.command))},
    )


def _closed_variables(environment: RealisedEnvironment) -> dict[str, str]:
    """Return what a hermetic job finds in its environment, whoever runs it and where."""
    own = environment.record.kind is EnvironmentKind.HOST
    search = f"{Path(sys.prefix, 'bin')}:{_SEARCH_PATH}" if own else _SEARCH_PATH
    return {**_FIXED, "PATH": search}


def _shown(path: str, workdir: str) -> str:
    return os.path.relpath(path, workdir) if lies_in(path, workdir) else path


@contextlib.contextmanager
def scratch_directory(directory: str | None = None) -> Iterator[Path]:
    """Give a private directory for what passes between this process and its job."""
    if directory is not None:
        Path(directory).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="repro-", dir=directory, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)
