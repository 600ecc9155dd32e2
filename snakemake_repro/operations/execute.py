"""Execute one task on a node: environment, digests, the job itself, digests, journal.

``execute`` is what runs as a Ray task. It takes and returns JSON bytes.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from snakemake_repro.backends.agents import Agent, AgentLostError, Ended
from snakemake_repro.backends.artifacts import artifacts_name, keep
from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.containers.run import EngineLostError
from snakemake_repro.backends.environments.container import ContainerEnvironment
from snakemake_repro.backends.environments.host import HostEnvironment
from snakemake_repro.backends.environments.shim import script_search_path
from snakemake_repro.backends.environments.store import NodeEnvironments, default_root
from snakemake_repro.backends.host import check_space, describe_host
from snakemake_repro.backends.journal import FileJournal
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.backends.timelimit import OverrunError, time_limit
from snakemake_repro.errors import ExecutionError, ReproError
from snakemake_repro.logic import metrics, shelltext
from snakemake_repro.operations.benchmarks import closed_off, repetitions, run_measured
from snakemake_repro.operations.cells import Cell
from snakemake_repro.operations.closed_scripts import ClosedScripts
from snakemake_repro.operations.container_jobs import (
    NodeContainers,
    container_variables,
    without_devices,
)
from snakemake_repro.operations.forks import run_fork
from snakemake_repro.operations.helpers import helpers_of
from snakemake_repro.operations.job_records import Course, Place, job_record, prepare, refresh
from snakemake_repro.operations.planning import Plan
from snakemake_repro.operations.rooms import Room, Window
from snakemake_repro.operations.surroundings import (
    Surroundings,
    surroundings,
)
from snakemake_repro.operations.variables import ARTIFACTS, METRICS, job_variables, node_environ
from snakemake_repro.records import (
    Entry,
    EnvironmentKind,
    EnvironmentSeen,
    FileRecord,
    HostSeen,
    JobEnded,
    JobRecord,
    JobStatus,
    Json,
    ResourceUse,
)
from snakemake_repro.records.tasks import Command, Task, TaskResult

_MAX_COMMAND = 16 * 4096 - 1
"""Snakemake's own limit for a command line, below the kernel's (``snakemake.shell``)."""

_TAIL_LINES = 20
_TAIL_BYTES = 16_384
_SCRIPT = "script.sh"

_clock = SystemClock()


def execute(payload: bytes) -> bytes:
    """Run a task given as JSON, return its ``TaskResult`` as JSON."""
    result = execute_here(Task.from_dict(json.loads(payload)))
    return json.dumps(result.to_dict()).encode()


def execute_here(task: Task) -> TaskResult:
    """Run a task in its working directory."""
    return _node().run(task)


def warm_up() -> None:
    """Start what the first task of this process would have to wait for."""
    _node().warm_up()


@functools.cache
def _node() -> _Node:
    return _Node()


class _Node:
    """This worker process: its agents, its journal, the environments of its node."""

    def __init__(self) -> None:
        # Two of each kind of work: a shell job must not pay for the memory of a process
        # that holds Snakemake, neither in time to fork nor in what is recorded of it.
        self._shells = Agent()
        self._calls = Agent()
        self._journals: dict[tuple[str, str], FileJournal] = {}
        self._seen: set[tuple[str, str]] = set()
        self._environments: dict[Path, NodeEnvironments] = {}
        self._environ = node_environ()
        self._containers = NodeContainers(self._calls, self._environ)
        self._scripts = ClosedScripts(self._calls, self._containers, self._environ)

    def warm_up(self) -> None:
        self._shells.start()
        HostEnvironment().record  # noqa: B018 - it is kept, and takes as long as the agent

    def run(self, task: Task) -> TaskResult:
        """Run one task; every failure that is the job's or the node's becomes a result."""
        try:
            return self._run(task)
        except (AgentLostError, EngineLostError):
            raise  # a loss is repeated, not reported as the job's failure
        except ReproError as exc:
            return TaskResult(id=task.id, succeeded=False, error=exc.message, hint=exc.hint)
        except OSError as exc:
            where = f": {exc.filename}" if exc.filename else ""
            return TaskResult(id=task.id, succeeded=False, error=f"{exc.strerror}{where}")

    def _run(self, task: Task) -> TaskResult:
        check_space(Path(task.workdir), task.disk)
        place = self._place(task)
        prepared = [prepare(task, member, place) for member in task.members]
        course = self._execute(task, place)
        for item in prepared:
            refresh(item, place, course.linked)
        records = tuple(job_record(task, item, place, course) for item in prepared)
        entries = self._write(task, records, place)
        if course.ended is None:
            raise KeyboardInterrupt
        return TaskResult(
            id=task.id,
            succeeded=course.status is JobStatus.SUCCEEDED,
            jobs=records,
            error=course.error,
            hint=course.hint,
            tail=_tail(place.root / task.log) if course.error else None,
            known=place.cache.to_json() if task.shipment is None else None,
            entries=entries,
        )

    def _place(self, task: Task) -> Place:
        store = Path(task.environment_store) if task.environment_store else default_root()
        environments = self._environments.setdefault(store, NodeEnvironments(store))
        contained = task.environment.kind is EnvironmentKind.CONTAINER
        return Place(
            root=Path(task.workdir),
            store=store,
            environment=self._containers.realise(task, store)
            if contained
            else environments.realise(task.environment),
            cache=StatCache.from_json(task.known or []),
            members={
                member.id: self._containers.realise_member(task, member, store)
                if member.container is not None
                else environments.realise(member.environment)
                for member in task.members
                if member.environment is not None
            },
        )

    def _execute(self, task: Task, place: Place) -> Course:
        """Run the job's process to its end, or to its interruption."""
        log = place.root / task.log
        log.parent.mkdir(parents=True, exist_ok=True)
        started = _clock.now()
        plans = self._scripts.of(task, place)
        if isinstance(plans, Ended):
            report = metrics.parse([], now_ms=0)
            return Course(started=started, finished=_clock.now(), ended=plans, report=report)
        where: Surroundings
        try:
            with surroundings(
                task, place.environment, environ=self._environ, store=place.store, plans=plans
            ) as where:
                (where.shared[0] / ARTIFACTS).mkdir()
                ended: Ended | None
                with helpers_of(task, place.environment.record) as offer:
                    try:
                        with time_limit(task.limit_s):
                            ended = self._start(task, place, plans, where, offer)
                    except OverrunError:
                        ended = _overrun(task.limit_s or 0)
                    except KeyboardInterrupt:
                        ended = None
                finished = _clock.now()
                reports = _lines(where.shared[0] / METRICS)
                report = metrics.parse(reports, now_ms=time.time_ns() // 1_000_000)
                artifacts, lost = _kept(task, place, where)
                violations = where.leave(succeeded=ended is not None and ended.status == 0)
                return Course(
                    started=started,
                    finished=finished,
                    ended=ended,
                    report=report,
                    isolation=where.isolation,
                    violations=violations,
                    linked=where.linked,
                    artifacts=artifacts,
                    lost=lost,
                )
        finally:
            for plan in plans:
                plan.discard(task.command)

    def _start(
        self,
        task: Task,
        place: Place,
        plans: list[Plan],
        where: Surroundings,
        offer: Mapping[str, str],
    ) -> Ended:
        log = place.root / task.log
        env = job_variables(task, place.environment, where) | dict(offer)
        command = _localise(task.command, where)
        if isinstance(place.environment, ContainerEnvironment):
            scratch, cell = where.shared[0], where if isinstance(where, Cell) else None
            env = (
                container_variables(env, task.command, scratch)
                if cell is None
                else {**cell.environ, **without_devices(env)}
            )
            run = functools.partial(
                self._containers.run,
                task,
                environment=place.environment,
                env=env,
                scratch=scratch,
                cage=None if cell is None else cell.cage,
            )
            left = iter(plans)
            if command.benchmark is None:
                return run(command=command, plan=next(left, None))
            return run_measured(
                command,
                lambda once, append: run(command=once, plan=next(left, None), append=append),
                self._calls,
                env={**self._environ, **env},
                workdir=place.root,
                log=log,
            )
        if isinstance(where, Room | Window):
            if not plans:
                plan = Plan(text=command.text or "", shell=command.executable or "sh")
                plans = [plan] * len(repetitions(command))
            command = closed_off(command, [where.enter(plan, env) for plan in plans])
        if command.benchmark is not None:
            command = dataclasses.replace(command, kind="benchmark")
        if command.kind in ("shell", "program"):
            return self._shells.run(command, cwd=Path(task.directory), env=env, log=log)
        if place.members:
            return run_fork(
                self._calls,
                command,
                task,
                place,
                variables=lambda environment: job_variables(task, environment, where),
                scratch=where.shared[0],
            )
        pinned = task.environment.kind is not EnvironmentKind.HOST
        return self._calls.run(
            command,
            cwd=Path(command.directory or task.directory),
            env=env,
            log=log,
            python=place.environment.python if pinned else None,
            search_path=script_search_path(place.store) if pinned else None,
            programs=place.environment.programs,
        )

    def _write(self, task: Task, records: tuple[JobRecord, ...], place: Place) -> Json:
        """Append the records to this worker's journal of the run; durable on return.

        Returns:
            The lines instead, where the journal is on another machine.
        """
        if not task.record:
            return None
        entries = [
            *self._new(task, place),
            *(JobEnded(run_id=task.run_id, at=_clock.now(), job=record) for record in records),
        ]
        if task.shipment is not None:
            return [entry.to_line() for entry in entries]
        key = (task.workdir, task.run_id)
        journal = self._journals.get(key)
        if journal is None:
            journal = FileJournal(Path(task.workdir), task.run_id, "worker")
            self._journals[key] = journal
        last = len(entries) - 1
        for index, entry in enumerate(entries):
            journal.append(entry, durable=index == last)
        return None

    def _new(self, task: Task, place: Place) -> Iterator[Entry]:
        """Yield host and environments, unless this worker's journal has them."""
        host = describe_host()
        if self._is_new(task, host.id):
            yield HostSeen(run_id=task.run_id, at=_clock.now(), host=host)
        for member in task.members:
            record = place.of(member).record
            if self._is_new(task, str(record.digest)):
                yield EnvironmentSeen(run_id=task.run_id, at=_clock.now(), environment=record)

    def _is_new(self, task: Task, what: str) -> bool:
        """Tell whether the run does not have something from here; what travels may be lost."""
        known = (task.run_id, what) in self._seen
        self._seen.add((task.run_id, what))
        return not known or task.shipment is not None


def _localise(command: Command, where: Surroundings) -> Command:
    """Put the job's temporary directory into a shell text, and a long text into a file."""
    if (benchmark := command.benchmark) is not None:
        benchmark = dataclasses.replace(benchmark, path=where.place_of(benchmark.path))
        command = dataclasses.replace(command, benchmark=benchmark)
    if command.kind != "shell":
        return command
    text = shelltext.fill(command.text or "", where.tmpdir)
    if len(text.replace("'", r"'\''")) + 2 > _MAX_COMMAND:
        here, there = where.shared
        (here / _SCRIPT).write_text(text + "\n")
        text = f'"{command.executable}" "{there}/{_SCRIPT}"'
    return dataclasses.replace(command, text=text)


def _overrun(limit: float) -> Ended:
    return Ended(
        status=-signal.SIGTERM,
        use=ResourceUse(wall_s=limit),
        problem=f"it ran for longer than its runtime of {limit / 60:g} minutes",
    )


def _kept(
    task: Task, place: Place, where: Surroundings
) -> tuple[tuple[FileRecord, ...], tuple[str, ...]]:
    """Keep what the job left for its record; return it, and what could not be kept."""
    if not task.record:
        return (), ()
    return keep(where.shared[0] / ARTIFACTS, place.root / artifacts_name(task))


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _tail(log: Path) -> str | None:
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError as exc:
        raise ExecutionError(f"cannot read {log}: {exc.strerror}") from exc
    lines = text.splitlines()[-_TAIL_LINES:]
    return "\n".join(lines) if lines else None
