"""Where hermetic jobs run: a room that is closed, or one with a window, where they are watched."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from snakemake_repro.backends.basesystem import Base
from snakemake_repro.backends.bubblewrap import View, command_line, gpu_devices, version
from snakemake_repro.backends.settingsfiles import HOME, name_service
from snakemake_repro.backends.staging import Stage
from snakemake_repro.backends.tracing import kind_of, lines, tracer, tracer_version
from snakemake_repro.errors import IsolationError
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.logic import trace
from snakemake_repro.logic.sandbox import Mount, Sandbox
from snakemake_repro.logic.violations import attempts, deeds, few, wrote
from snakemake_repro.operations.planning import Plan
from snakemake_repro.records import EnvironmentKind, Isolation, IsolationMode
from snakemake_repro.records.tasks import Command, Task

PRIVATE = "/run/repro"
BESIDE = "/run/repro-inputs"
TMP = "/tmp"  # noqa: S108 - the job's own
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FIXED = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "LOGNAME": "job",
    "PYTHONDONTWRITEBYTECODE": "1",
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
_OPEN_IN_REPORT = ("files", "network", "user")
_TRACE = "trace"


class Room:
    """A place that shows the job what its rule declares and nothing else; like ``Host``."""

    def __init__(
        self,
        task: Task,
        environment: RealisedEnvironment,
        *,
        base: Base,
        sandbox: Sandbox,
        stage: Stage,
        scratch: Path,
    ) -> None:
        assert task.isolation is not None
        self._task = task
        self._request = task.isolation
        self._base = base
        self._sandbox = sandbox
        self._stage = stage
        self._scratch = scratch
        self._tracer = tracer(base) if task.isolation.trace else ()
        self.environ = closed_variables(environment, home=HOME)
        self.tmpdir = room_tmpdir(task.command)
        self.shared = (scratch / "shared", PRIVATE)
        self.shared[0].mkdir()
        self.linked = stage.linked
        self._traces: list[Path] = []

    @property
    def isolation(self) -> Isolation:
        """How the job is closed off."""
        network = self._request.network
        return Isolation(
            mode=self._request.mode,
            means=version(),
            closed=tuple(name for name in _CLOSED if not (network and name == "network")),
            open=("clock", *(("network",) if network else ()), *open_devices(self._task)),
            base=self._base.record,
            traced=tracer_version(self._tracer[0]) if self._tracer else None,
        )

    def enter(self, plan: Plan, env: Mapping[str, str]) -> Command:
        """Return the command that runs a text for a shell here."""
        own = Mount(source=str(self.shared[0]), target=PRIVATE, writable=True)
        names = name_service() if self._request.network else ()
        view = View(
            base=self._base,
            mounts=(*self._stage.mounts, own, *names),
            workdir=self._task.workdir,
            variables=env,
            network=self._request.network,
            devices=gpu_devices() if self._task.gpus else (),
        )
        argv = [plan.shell, "-c", plan.text]
        if self._tracer:
            program, *options = self._tracer
            file = new_trace(self._traces, self.shared[0])
            argv = [program, trace.ONLY_FAILED, *options, f"{PRIVATE}/{file.name}", *argv]
        line = command_line(view, argv, self._scratch / "arguments")
        return Command(kind="program", argv=tuple(line))

    def place_of(self, path: str) -> str:
        """Return where a file of the rule is written that the job does not write itself."""
        return self._stage.place_of(path)

    def leave(self, *, succeeded: bool) -> tuple[str, ...]:
        """Keep what the rule declares; return what the job did beyond that."""
        workdir = self._task.workdir
        uses = _uses(self._task, self._traces)
        violations = few(
            (
                *(wrote(path, workdir) for path in self._stage.undeclared()),
                *attempts(uses, self._sandbox, kind_of),
            )
        )
        self._stage.promote(outputs=succeeded and not violations)
        return violations


class Window:
    """The node as it is, but for what no report can name, and watched; like ``Room``."""

    linked: tuple[str, ...] = ()

    def __init__(
        self,
        task: Task,
        environment: RealisedEnvironment,
        *,
        base: Base,
        sandbox: Sandbox,
        scratch: Path,
    ) -> None:
        self._task = task
        self._base = base
        self._sandbox = sandbox
        self._scratch = scratch
        self._tracer = needed_tracer(base)
        self.tmpdir = room_tmpdir(task.command)
        self.shared = (scratch, str(scratch))
        home = scratch / "home"
        home.mkdir()
        self.environ = closed_variables(environment, home=str(home))
        self._traces: list[Path] = []

    @property
    def isolation(self) -> Isolation:
        """How the job is closed off."""
        return Isolation(
            mode=IsolationMode.REPORT,
            means=version(),
            closed=tuple(name for name in _CLOSED if name not in _OPEN_IN_REPORT),
            open=("clock", *_OPEN_IN_REPORT),
            base=self._base.record,
            traced=tracer_version(self._tracer[0]),
        )

    def enter(self, plan: Plan, env: Mapping[str, str]) -> Command:
        """Return the command that runs a text for a shell here."""
        view = View(
            base=self._base, mounts=(), workdir=self._task.directory, variables=env, everything=True
        )
        file = new_trace(self._traces, self._scratch)
        argv = [*self._tracer, str(file), plan.shell, "-c", plan.text]
        line = command_line(view, argv, self._scratch / "arguments")
        return Command(kind="program", argv=tuple(line))

    def place_of(self, path: str) -> str:
        """Return where a file of the rule is written that the job does not write itself."""
        return path

    def leave(self, *, succeeded: bool) -> tuple[str, ...]:  # noqa: ARG002
        """Return what the job did beyond its rule's declarations."""
        uses = _uses(self._task, self._traces)
        return few(deeds(uses, self._sandbox, kind_of))


def closed_variables(environment: RealisedEnvironment, *, home: str) -> dict[str, str]:
    """Return what a hermetic job finds in its environment, whoever runs it and where."""
    own = environment.record.kind is EnvironmentKind.HOST
    search = f"{Path(sys.prefix, 'bin')}:{_SEARCH_PATH}" if own else _SEARCH_PATH
    return {**FIXED, "HOME": home, "PATH": search}


def new_trace(traces: list[Path], directory: Path) -> Path:
    """Name a file for what a tracer sees of one run of a job: process ids are one run's."""
    traces.append(directory / f"{_TRACE}-{len(traces)}")
    return traces[-1]


def _uses(task: Task, files: list[Path]) -> Iterator[trace.Access | trace.Connection]:
    """Return what a job did, as far as somebody watched and its rule does not allow it anyway."""
    assert task.isolation is not None
    uses: Iterator[trace.Access | trace.Connection] = itertools.chain.from_iterable(
        trace.parse(lines(file), task.directory) for file in files
    )
    if task.shadow is not None:
        uses = trace.through_shadow(uses, task.shadow, task.workdir, os.path.realpath)
    return trace.without_network(uses) if task.isolation.network else uses


def open_devices(task: Task) -> tuple[str, ...]:
    """Return what a record says of devices that a job is given."""
    return ("GPUs",) if task.gpus else ()


def needed_tracer(base: Base) -> tuple[str, ...]:
    """Return the command that watches another one.

    Raises:
        IsolationError: There is none.
    """
    if found := tracer(base):
        return found
    raise IsolationError(
        "--ray-hermetic report needs strace to see what jobs do, and this node has none that works",
        hint="Install strace; in a container, the engine must allow ptrace. "
        "`--ray-hermetic enforce` does without.",
    )


def room_tmpdir(command: Command) -> str:
    """Return the directory for temporary files that a hermetic job is given."""
    return command.tmpdir or TMP
