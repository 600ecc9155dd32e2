"""Execute one task on a node: environment, digests, the job itself, digests, journal.

``execute`` is what runs as a Ray task. It takes and returns JSON bytes.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from snakemake_repro.backends.agents import Agent, AgentLostError, Ended
from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.containers.run import EngineLostError
from snakemake_repro.backends.environments.container import ContainerEnvironment
from snakemake_repro.backends.environments.shim import script_search_path
from snakemake_repro.backends.environments.store import NodeEnvironments, default_root
from snakemake_repro.backends.files import observe
from snakemake_repro.backends.host import describe_host
from snakemake_repro.backends.journal import FileJournal
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.errors import ExecutionError, ReproError
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.logic import metrics, shelltext
from snakemake_repro.logic.canonical import job_key
from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.operations.container_jobs import NodeContainers, container_variables
from snakemake_repro.records import (
    Entry,
    EnvironmentKind,
    EnvironmentSeen,
    FileRecord,
    HostSeen,
    JobEnded,
    JobRecord,
    JobSpec,
    JobStatus,
    Origin,
)
from snakemake_repro.records.tasks import Command, Member, Task, TaskResult

_MAX_COMMAND = 16 * 4096 - 1
"""Snakemake's own limit for a command line, below the kernel's (``snakemake.shell``)."""

_TAIL_LINES = 20
_TAIL_BYTES = 16_384
_SIGNAL_BASE = 128
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_RAY_VARIABLES = ("PYTHONBREAKPOINT", "SPT_NOENV", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
_EPOCH = "315532800"
"""1980-01-01, the earliest date that zip archives can hold (reproducible-builds.org)."""

_clock = SystemClock()


def execute(payload: bytes) -> bytes:
    """Run a task given as JSON, return its ``TaskResult`` as JSON."""
    task = Task.from_dict(json.loads(payload))
    result = _node().run(task)
    return json.dumps(result.to_dict()).encode()


@functools.cache
def _node() -> _Node:
    return _Node()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """A member with everything known before it runs."""

    member: Member
    spec: JobSpec
    stamps: Mapping[str, tuple[int, int, int]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where a task runs: its working directory, its environment, what is known of its files."""

    root: Path
    store: Path
    environment: RealisedEnvironment
    cache: StatCache


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Course:
    """How a task went; ``ended`` is ``None`` when it was interrupted."""

    started: str
    finished: str
    ended: Ended | None
    report: metrics.Report

    @property
    def status(self) -> JobStatus:
        if self.ended is None:
            return JobStatus.INTERRUPTED
        return JobStatus.FAILED if self.ended.status else JobStatus.SUCCEEDED

    @property
    def error(self) -> str | None:
        failed = self.ended is not None and self.ended.status != 0
        return _describe(self.ended) if failed and self.ended is not None else None


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
        self._environ = _job_environ()
        self._containers = NodeContainers(self._calls, self._environ)

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
        place = self._place(task)
        prepared = [_prepare(task, member, place) for member in task.members]
        course = self._execute(task, place)
        records = tuple(_record(task, item, place, course) for item in prepared)
        self._write(task, records, place.environment)
        if course.ended is None:
            raise KeyboardInterrupt
        return TaskResult(
            id=task.id,
            succeeded=course.status is JobStatus.SUCCEEDED,
            jobs=records,
            environment=place.environment.record,
            error=course.error,
            tail=_tail(place.root / task.log) if course.error else None,
            known=place.cache.to_json(),
        )

    def _place(self, task: Task) -> _Place:
        store = Path(task.environment_store) if task.environment_store else default_root()
        environments = self._environments.setdefault(store, NodeEnvironments(store))
        contained = task.environment.kind is EnvironmentKind.CONTAINER
        return _Place(
            root=Path(task.workdir),
            store=store,
            environment=self._containers.realise(task, store)
            if contained
            else environments.realise(task.environment),
            cache=StatCache.from_json(task.known or []),
        )

    def _execute(self, task: Task, place: _Place) -> _Course:
        """Run the job's process to its end, or to its interruption."""
        log = place.root / task.log
        log.parent.mkdir(parents=True, exist_ok=True)
        started = _clock.now()
        with _scratch() as scratch:
            reports = scratch / "metrics.jsonl"
            env = self._variables(task, place.environment, reports)
            if task.environment.kind is EnvironmentKind.CONTAINER:
                env = container_variables(env, task.command, scratch)
            command = _localise(task.command, env, scratch)
            try:
                ended: Ended | None = self._start(task, command, place, env, scratch)
            except KeyboardInterrupt:
                ended = None
            report = metrics.parse(_lines(reports), now_ms=time.time_ns() // 1_000_000)
        return _Course(started=started, finished=_clock.now(), ended=ended, report=report)

    def _start(
        self, task: Task, command: Command, place: _Place, env: Mapping[str, str], scratch: Path
    ) -> Ended:
        log = place.root / task.log
        if isinstance(place.environment, ContainerEnvironment):
            return self._containers.run(task, command, place.environment, env=env, scratch=scratch)
        if command.kind == "shell":
            return self._shells.run(command, cwd=place.root, env=env, log=log)
        pinned = task.environment.kind is not EnvironmentKind.HOST
        return self._calls.run(
            command,
            cwd=place.root,
            env=env,
            log=log,
            python=place.environment.python if pinned else None,
            search_path=script_search_path(place.store) if pinned else None,
        )

    def _variables(
        self, task: Task, environment: RealisedEnvironment, reports: Path
    ) -> dict[str, str]:
        """Return the job's process environment."""
        env = environment.variables(self._environ)
        env.setdefault("PYTHONHASHSEED", "0")
        env.setdefault("SOURCE_DATE_EPOCH", _EPOCH)
        env.update(task.variables)
        env.update(dict.fromkeys(_THREAD_VARIABLES, str(task.threads)))
        if (gpus := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
            env["CUDA_VISIBLE_DEVICES"] = gpus
        env.update(_tmpdir_variables(task.command))
        first = task.members[0]
        description = {
            "id": first.id,
            "run": task.run_id,
            "rule": first.spec.rule if task.group is None else task.group,
            "wildcards": dict(first.spec.wildcards),
            "attempt": task.attempt,
            "threads": task.threads,
        }
        env["REPRO_JOB"] = json.dumps(description)
        env["REPRO_METRICS"] = str(reports)
        return env

    def _write(
        self, task: Task, records: tuple[JobRecord, ...], environment: RealisedEnvironment
    ) -> None:
        """Append the records to this worker's journal of the run; durable on return."""
        if not task.record:
            return
        place = (task.workdir, task.run_id)
        journal = self._journals.get(place)
        if journal is None:
            journal = FileJournal(Path(task.workdir), task.run_id, "worker")
            self._journals[place] = journal
        for entry in self._new(task, environment):
            journal.append(entry, durable=False)
        last = len(records) - 1
        for index, record in enumerate(records):
            entry = JobEnded(run_id=task.run_id, at=_clock.now(), job=record)
            journal.append(entry, durable=index == last)

    def _new(self, task: Task, environment: RealisedEnvironment) -> Iterator[Entry]:
        """Yield host and environment when this journal does not have them yet."""
        host = describe_host()
        if (task.run_id, host.id) not in self._seen:
            self._seen.add((task.run_id, host.id))
            yield HostSeen(run_id=task.run_id, at=_clock.now(), host=host)
        digest = str(environment.record.digest)
        if (task.run_id, digest) not in self._seen:
            self._seen.add((task.run_id, digest))
            yield EnvironmentSeen(
                run_id=task.run_id, at=_clock.now(), environment=environment.record
            )


def _prepare(task: Task, member: Member, place: _Place) -> _Prepared:
    """Complete a member's spec with the digests of its inputs and its environment."""
    if not task.record:
        return _Prepared(member=member, spec=member.spec, stamps={})
    inputs = _observed(member.spec.inputs, place)
    spec = dataclasses.replace(
        member.spec, inputs=inputs, environment=place.environment.record.digest
    )
    return _Prepared(member=member, spec=spec, stamps=_stamps(place.root, inputs))


def _record(task: Task, item: _Prepared, place: _Place, course: _Course) -> JobRecord:
    """Describe what became of one member."""
    ended, report = course.ended, course.report
    redact = Redactor({name: task.variables[name] for name in task.secrets})
    succeeded = course.status is JobStatus.SUCCEEDED
    recorded = task.record
    return JobRecord(
        id=item.member.id,
        run_id=task.run_id,
        jobid=item.member.jobid,
        attempt=task.attempt,
        resubmission=task.resubmission,
        spec=item.spec,
        key=job_key(item.spec) if recorded else None,
        status=course.status,
        origin=Origin.RAY,
        tier=task.tier,
        started=course.started,
        finished=course.finished,
        exit_code=None if ended is None else ended.status,
        error=course.error,
        outputs=_observed(item.spec.outputs, place) if recorded and succeeded else (),
        log=observe(place.root / task.log, root=place.root) if recorded else None,
        host=describe_host().id,
        resources=item.member.resources,
        use=None if ended is None else ended.use,
        metrics=report.metrics,
        params_reported=redact.json(dict(report.params)),
        seeds=report.seeds,
        tags=redact.json(dict(report.tags)),
        integrity=(*_changed(place.root, item), *report.problems),
        group=task.group,
    )


def _observed(files: tuple[FileRecord, ...], place: _Place) -> tuple[FileRecord, ...]:
    return tuple(
        observe(
            place.root / file.path,
            root=place.root,
            name=file.name,
            flags=file.flags,
            cache=place.cache,
        )
        for file in files
    )


def _job_environ() -> dict[str, str]:
    """Return this worker's environment without what Ray put into it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RAY_") and name not in _RAY_VARIABLES
    }


@contextmanager
def _scratch() -> Iterator[Path]:
    """Give a private directory for what passes between this process and its job."""
    with tempfile.TemporaryDirectory(prefix="repro-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def _tmpdir_variables(command: Command) -> dict[str, str]:
    """Return what Snakemake sets for a job with the resource ``tmpdir``."""
    if not command.tmpdir_wanted:
        return {}
    tmpdir = command.tmpdir or tempfile.gettempdir()
    Path(tmpdir).mkdir(parents=True, exist_ok=True)
    return dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), tmpdir)


def _localise(command: Command, env: Mapping[str, str], scratch: Path) -> Command:
    """Put this node's temporary directory into a shell text, and a long text into a file."""
    if command.kind != "shell":
        return command
    tmpdir = env.get("TMPDIR") or tempfile.gettempdir()
    text = shelltext.fill(command.text or "", tmpdir)
    if len(text.replace("'", r"'\''")) + 2 > _MAX_COMMAND:
        script = scratch / "script.sh"
        script.write_text(text + "\n")
        text = f'"{command.executable}" "{script}"'
    return dataclasses.replace(command, text=text)


def _stamps(root: Path, files: tuple[FileRecord, ...]) -> dict[str, tuple[int, int, int]]:
    stamps = {}
    for file in files:
        try:
            stat = (root / file.path).stat()
        except OSError:
            continue
        stamps[file.path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return stamps


def _changed(root: Path, item: _Prepared) -> Iterator[str]:
    """Name the inputs that are not what they were when the job began."""
    now = _stamps(root, item.spec.inputs)
    for path, stamp in item.stamps.items():
        if now.get(path) != stamp:
            yield f"input {path} changed while the job ran"


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _describe(ended: Ended) -> str:
    """Say how a failed job ended, signals by name."""
    number = -ended.status if ended.status < 0 else ended.status - _SIGNAL_BASE
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"the command exited with status {ended.status}{_problem(ended)}"
    text = f"the command was killed by signal {number} ({name})"
    if number == signal.SIGKILL and ended.use.max_rss_mb and ended.problem is None:
        text += f"; its peak memory was {ended.use.max_rss_mb:.0f} MB"
    return text + _problem(ended)


def _problem(ended: Ended) -> str:
    return "" if ended.problem is None else f"; {ended.problem}"


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
