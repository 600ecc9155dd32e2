"""Run a job in a container of this node: what it sees, what it may use, how it ended."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snakemake_repro.backends.agents import Agent, Ended
from snakemake_repro.backends.bubblewrap import HOSTNAME
from snakemake_repro.backends.containers.node import connect
from snakemake_repro.backends.containers.run import EngineLostError
from snakemake_repro.backends.environments.container import ContainerEnvironment, realise
from snakemake_repro.backends.environments.shim import script_packages
from snakemake_repro.backends.processtree import own_umask
from snakemake_repro.interfaces import ContainerEngine
from snakemake_repro.logic.containers import (
    SCRIPT_PACKAGES,
    Cage,
    ContainerJob,
    Facts,
    binds,
    parse_usage,
    supervised,
)
from snakemake_repro.operations.planning import Plan, plan_call
from snakemake_repro.records import EnvironmentSpec, FileRecord
from snakemake_repro.records.tasks import Command, ContainerRequest, Member, Task

TMPDIRS = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")
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
        self._engines: dict[str, ContainerEngine] = {}

    def realise(self, task: Task, root: Path) -> ContainerEnvironment:
        """Return a task's image, pulling it first if this node does not have it.

        Raises:
            EnvironmentSpecError: The lock does not have the image for this node's platform.
            EnvironmentBuildError: There is no engine, or the image cannot be had.
        """
        return self._realise(_request(task), task.environment, root, Path(task.workdir, task.log))

    def realise_member(self, task: Task, member: Member, root: Path) -> ContainerEnvironment:
        """Return the image of a fork's job, likewise.

        Raises:
            EnvironmentSpecError: The lock does not have the image for this node's platform.
            EnvironmentBuildError: There is no engine, or the image cannot be had.
        """
        assert member.environment is not None
        log = Path(task.workdir, task.log)
        return self._realise(_of_member(member), member.environment, root, log)

    def _realise(
        self, request: ContainerRequest, spec: EnvironmentSpec, root: Path, log: Path
    ) -> ContainerEnvironment:
        return realise(self._engine(request.engine, root), spec, root=root, log=log)

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
        append: bool = False,
    ) -> Ended:
        """Run a task's command in its container, to its end.

        Args:
            task: Whose job it is.
            command: Of the job, with this node's values.
            environment: The image.
            env: The job's variables.
            scratch: The job's own directory.
            plan: Of a script, where that had to be made before; the caller discards it.
            cage: What closes the job off; ``None`` shows it the working directory.
            append: Keep what is in the log.

        Raises:
            EnvironmentBuildError: The engine refuses the container.
            EngineLostError: The engine went away under it.
        """
        log, given = Path(task.workdir, task.log), plan is not None
        if command.kind == "shell":
            log.open("ab" if append else "wb").close()
            plan = Plan(text=command.text or "", shell=command.executable or "sh")
        elif plan is None:
            planned = self.plan(
                dataclasses.replace(task, command=command), env, scratch, append=append
            )
            if isinstance(planned, Ended):
                return planned
            plan = planned
        _append(log, environment.said)
        cage = cage or open_cage(
            task.members,
            _request(task),
            workdir=task.workdir,
            log=str(log),
            scratch=str(scratch),
            usage=str(scratch / "usage"),
            tmpdir=task.command.tmpdir,
            packages={} if plan.script is None else script_packages(),
            shadow=task.shadow,
        )
        job = container_job(
            environment.engine.facts,
            _request(task),
            plan,
            image=environment.image,
            workdir=task.directory,
            threads=task.threads,
            env=env,
            cage=cage,
            shares=True,
        )
        usage = Path(cage.usage_here)
        started = time.monotonic()
        try:
            ran = environment.engine.run(job)
        except EngineLostError:
            self._forget()  # the next job finds out whether there is another one
            raise
        finally:
            if not given:
                plan.discard(command)
        _append(log, ran.said)
        counted = ran.usage or parse_usage(
            usage.read_text(encoding="utf-8") if usage.exists() else ""
        )
        return Ended(
            status=ran.status,
            use=counted.resource_use(time.monotonic() - started),
            problem=counted.problem(job.memory) if ran.status else None,
        )

    def _engine(self, kind: str, store: Path) -> ContainerEngine:
        if kind not in self._engines:
            engine = connect(kind, store)
            engine.sweep()
            self._engines[kind] = engine
        return self._engines[kind]

    def _forget(self) -> None:
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()

    def plan(
        self, task: Task, env: Mapping[str, str], scratch: Path, *, append: bool = False
    ) -> Plan | Ended:
        """Let Snakemake write a script with its preamble, for the interpreter of the image.

        Args:
            task: Its command is a call.
            env: Has the job's places for temporary files.
            scratch: Directory for what the agent answers.
            append: Keep what is in the log.
        """
        temporary = {name: env[name] for name in TMPDIRS}
        return plan_call(
            self._calls,
            task,
            env={**self._environ, **temporary},
            scratch=scratch,
            python="python",
            search_path=Path(SCRIPT_PACKAGES),
            append=append,
        )


def container_variables(env: Mapping[str, str], command: Command, scratch: Path) -> dict[str, str]:
    """Return a job's variables with places for temporary files and a home of its own.

    Both are directories on disk: what lies in memory would count against the job's limit.
    """
    return own_places(env, tmpdir=Path(command.tmpdir or scratch / "tmp"), home=scratch / "home")


def own_places(env: Mapping[str, str], *, tmpdir: Path, home: Path) -> dict[str, str]:
    """Return a job's variables with these two directories, and make them."""
    for place in (home, tmpdir):
        place.mkdir(parents=True, exist_ok=True)
    # an image has no entry for the user's number in its /etc/passwd
    who = dict.fromkeys(("USER", "LOGNAME"), "user")
    kept = without_devices(env)
    return {**kept, **dict.fromkeys(TMPDIRS, str(tmpdir)), "HOME": str(home), **who}


def without_devices(env: Mapping[str, str]) -> dict[str, str]:
    """Return a job's variables without the numbers of its GPUs: inside, they are others."""
    return {name: value for name, value in env.items() if name != _VISIBLE_GPUS}


def open_cage(
    members: Sequence[Member],
    request: ContainerRequest,
    *,
    workdir: str,
    log: str,
    scratch: str,
    usage: str,
    tmpdir: str | None,
    packages: Mapping[str, str],
    shadow: str | None = None,
    output: str | None = None,
) -> Cage:
    """Return what a job sees that is not closed off: above all its working directory."""
    return Cage(
        binds=binds(
            workdir=workdir,
            scratch=scratch,
            sources=[place for place in request.sources if Path(place).is_dir()],
            inputs=[p for m in members for p in _read(workdir, m.spec.inputs)],
            outputs=[
                p
                for m in members
                for name in (*(file.path for file in m.spec.outputs), *m.logs)
                for p in _written(Path(workdir, name))
            ],
            shadow=shadow,
            tmpdir=tmpdir,
            packages=packages,
        ),
        log=log,
        usage=usage,
        usage_here=usage,
        network=request.network,
        output=output,
    )


def container_job(
    facts: Facts,
    request: ContainerRequest,
    plan: Plan,
    *,
    image: str,
    workdir: str,
    threads: int,
    env: Mapping[str, str],
    cage: Cage,
    shares: bool,
) -> ContainerJob:
    """Return everything that an engine must know to run a plan as this user.

    Args:
        facts: Of the engine.
        request: What the job needs beside the image.
        plan: What to run.
        image: In which.
        workdir: Where.
        threads: Of the job.
        env: Its variables.
        cage: What it sees.
        shares: Without network and not closed off, it may join the empty network of others.
    """
    return ContainerJob(
        image=image,
        command=supervised(
            log=cage.log,
            usage=cage.usage,
            shell=plan.shell,
            text=plan.text,
            umask=_UMASK if cage.closed else own_umask(),
            output=cage.output,
        ),
        workdir=workdir,
        binds=cage.binds,
        variables=env,
        # this user, on either side of a rootless engine
        user="0:0" if facts.rootless else f"{os.getuid()}:{os.getgid()}",
        groups=tuple(map(str, sorted(set(os.getgroups()) - {os.getgid()}))),
        cpus=threads,
        memory=request.memory,
        gpus=_gpus(request),
        network="host" if cage.network else "none",
        shares=shares and not (cage.network or cage.closed),
        hostname=None if cage.network else HOSTNAME,
        read_only=cage.closed,
    )


def _request(task: Task) -> ContainerRequest:
    return task.container or ContainerRequest()


def _of_member(member: Member) -> ContainerRequest:
    return member.container or ContainerRequest()


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
