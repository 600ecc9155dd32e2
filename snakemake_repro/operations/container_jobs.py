"""Run a job in a container of this node: what it sees, what it may use, how it ended."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from snakemake_repro.backends.agents import Agent, Ended
from snakemake_repro.backends.bubblewrap import HOSTNAME
from snakemake_repro.backends.containers import owners
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.containers.network import EmptyNetwork
from snakemake_repro.backends.containers.run import EngineLostError, run
from snakemake_repro.backends.environments.container import ContainerEnvironment, realise
from snakemake_repro.backends.environments.shim import script_packages
from snakemake_repro.backends.processtree import own_umask
from snakemake_repro.logic.containers import (
    SCRIPT_PACKAGES,
    Cage,
    ContainerJob,
    binds,
    parse_usage,
    supervised,
)
from snakemake_repro.operations.planning import Plan, plan_call
from snakemake_repro.records import FileRecord
from snakemake_repro.records.tasks import Command, ContainerRequest, Task

_TMPDIRS = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")
_UMASK = "0022"
_VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"


class NodeContainers:
    """The containers of this worker process."""

    def __init__(self, calls: Agent, environ: Mapping[str, str]) -> None:
        """Start with no connection to any engine.

        Args:
            calls: Plans scripts and wrappers.
            environ: The process environment for planning.
        """
        self._calls = calls
        self._environ = environ
        self._engines: dict[str, Engine] = {}
        self._networks: dict[str, EmptyNetwork] = {}

    def realise(self, task: Task, root: Path) -> ContainerEnvironment:
        """Return a task's image, pulling it first if this node does not have it.

        Raises:
            EnvironmentSpecError: The lock does not have the image for this node's platform.
            EnvironmentBuildError: There is no engine, or the image cannot be had.
        """
        engine = self._engine(_request(task).engine)
        log = Path(task.workdir, task.log)
        return realise(engine, task.environment, root=root, log=log)

    def run(
        self,
        task: Task,
        command: Command,
        environment: ContainerEnvironment,
        *,
        env: Mapping[str, str],
        scratch: Path,
        plan: Plan | None = None,
        cage: Cage | None = None,
    ) -> Ended:
        """Run a task's command in its container, to its end.

        Args:
            task: Whose job it is.
            command: Of the job, with this node's values.
            environment: The image.
            env: The job's variables.
            scratch: The job's own directory.
            plan: Of a script, where that had to be made before.
            cage: What closes the job off; ``None`` shows it the working directory.

        Raises:
            EnvironmentBuildError: The engine refuses the container.
            EngineLostError: The engine went away under it.
        """
        log = Path(task.workdir, task.log)
        if command.kind == "shell":
            log.write_bytes(b"")
            plan = Plan(text=command.text or "", shell=command.executable or "sh")
        elif plan is None:
            planned = self.plan(task, env, scratch)
            if isinstance(planned, Ended):
                return planned
            plan = planned
        _append(log, environment.said)
        cage = cage or _open_cage(task, plan, log=log, scratch=scratch)
        network = self._network(environment, cage)
        job = _container_job(task, environment, plan, env=env, cage=cage, network=network)
        usage = Path(cage.usage_here)
        started = time.monotonic()
        try:
            status, said = run(environment.engine, job)
        except EngineLostError:
            self._forget()  # the next job finds out whether there is another one
            raise
        finally:
            plan.discard(command)
        _append(log, said)
        counted = parse_usage(usage.read_text(encoding="utf-8") if usage.exists() else "")
        return Ended(
            status=status,
            use=counted.resource_use(time.monotonic() - started),
            problem=counted.problem(job.memory) if status else None,
        )

    def _engine(self, kind: str) -> Engine:
        if kind not in self._engines:
            engine = Engine(kind)
            owners.sweep(engine)
            self._engines[kind] = engine
        return self._engines[kind]

    def _network(self, environment: ContainerEnvironment, cage: Cage) -> str:
        """Return the engine's name for the network that a job sees."""
        if cage.network:
            return "host"
        engine = environment.engine
        # Podman keeps an idle container as long as another one refers to it
        if cage.closed or engine.kind != "docker":
            return "none"
        if engine.kind not in self._networks:
            user = _user(environment)
            self._networks[engine.kind] = EmptyNetwork(engine, user=user, hostname=HOSTNAME)
        return self._networks[engine.kind].mode(environment.image)

    def _forget(self) -> None:
        for network in self._networks.values():
            network.close()
        self._networks.clear()
        self._engines.clear()

    def plan(self, task: Task, env: Mapping[str, str], scratch: Path) -> Plan | Ended:
        """Let Snakemake write a script with its preamble, for the interpreter of the image.

        Args:
            task: Its command is a call.
            env: Has the job's places for temporary files.
            scratch: Directory for what the agent answers.
        """
        temporary = {name: env[name] for name in _TMPDIRS}
        return plan_call(
            self._calls,
            task,
            env={**self._environ, **temporary},
            scratch=scratch,
            python="python",
            search_path=Path(SCRIPT_PACKAGES),
        )


def container_variables(env: Mapping[str, str], command: Command, scratch: Path) -> dict[str, str]:
    """Return a job's variables with places for temporary files and a home of its own.

    Both are directories on disk: what lies in memory would count against the job's limit.
    """
    home = scratch / "home"
    tmpdir = Path(command.tmpdir) if command.tmpdir else scratch / "tmp"
    home.mkdir()
    tmpdir.mkdir(parents=True, exist_ok=True)
    # an image has no entry for the user's number in its /etc/passwd
    who = dict.fromkeys(("USER", "LOGNAME"), "user")
    # inside, the job's devices are numbered anew
    kept = {name: value for name, value in env.items() if name != _VISIBLE_GPUS}
    return {**kept, **dict.fromkeys(_TMPDIRS, str(tmpdir)), "HOME": str(home), **who}


def _open_cage(task: Task, plan: Plan, *, log: Path, scratch: Path) -> Cage:
    """Return what a job sees that is not closed off: above all its working directory."""
    members, usage = task.members, str(scratch / "usage")
    return Cage(
        binds=binds(
            workdir=task.workdir,
            scratch=str(scratch),
            sources=[place for place in _request(task).sources if Path(place).is_dir()],
            inputs=[p for m in members for p in _read(task.workdir, m.spec.inputs)],
            outputs=[
                p
                for m in members
                for name in (*(file.path for file in m.spec.outputs), *m.logs)
                for p in _written(Path(task.workdir, name))
            ],
            tmpdir=task.command.tmpdir,
            packages={} if plan.script is None else script_packages(),
        ),
        log=str(log),
        usage=usage,
        usage_here=usage,
        network=_request(task).network,
    )


def _container_job(
    task: Task,
    environment: ContainerEnvironment,
    plan: Plan,
    *,
    env: Mapping[str, str],
    cage: Cage,
    network: str,
) -> ContainerJob:
    request = _request(task)
    return ContainerJob(
        image=environment.image,
        command=supervised(
            log=cage.log,
            usage=cage.usage,
            shell=plan.shell,
            text=plan.text,
            umask=_UMASK if cage.closed else own_umask(),
        ),
        workdir=task.workdir,
        binds=cage.binds,
        variables=env,
        user=_user(environment),
        groups=tuple(map(str, sorted(set(os.getgroups()) - {os.getgid()}))),
        cpus=task.threads,
        memory=request.memory,
        gpus=_gpus(request),
        network=network,
        hostname=HOSTNAME if network == "none" else None,
        read_only=cage.closed,
    )


def _request(task: Task) -> ContainerRequest:
    return task.container or ContainerRequest()


def _user(environment: ContainerEnvironment) -> str:
    return "0:0" if environment.engine.facts.rootless else f"{os.getuid()}:{os.getgid()}"


def _gpus(request: ContainerRequest) -> tuple[str, ...]:
    """Return the devices that Ray reserved for this task."""
    if not request.gpus:
        return ()
    return tuple(filter(None, os.environ.get(_VISIBLE_GPUS, "").split(",")))


def _read(workdir: str, files: tuple[FileRecord, ...]) -> Iterator[str]:
    """Yield inputs that are there, and what they are links to."""
    for file in files:
        path = Path(workdir, file.path)
        if path.exists():
            yield str(path)
            yield str(path.resolve())


def _written(path: Path) -> Iterator[str]:
    """Yield an output, and where it comes to be when a directory on its way is a link."""
    yield str(path)
    yield str(path.parent.resolve() / path.name)


def _append(log: Path, text: str) -> None:
    if text:
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
