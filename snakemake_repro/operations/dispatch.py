"""Dispatch tasks to the cluster and bring back one verdict for each, whatever dies on the way.

A job's own failure is Snakemake's to repeat. A lost worker, node or connection is ours: the
attempt is repeated a bounded number of times, with a growing pause, and costs the user nothing.
"""

from __future__ import annotations

import dataclasses
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from snakemake_repro.errors import ClusterError, ReproError, StorageError
from snakemake_repro.logic.resources import suits
from snakemake_repro.operations.unfinished import recorded, unfinished, unwritten
from snakemake_repro.records import (
    Entry,
    FileRecord,
    JobStatus,
    Tier,
)
from snakemake_repro.records.tasks import Node, ResourceRequest, Task, TaskResult

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_OUT_OF_MEMORY = "out of memory"

Verdict = Callable[[Task, TaskResult], None]
"""Called with the task as it finally ran and its result."""


class Connection(Protocol):
    """What dispatching needs of the gateway."""

    def start(self) -> None:
        """Begin to connect."""
        ...

    def nodes(self) -> tuple[Node, ...]:
        """Wait for the connection; return the cluster's nodes."""
        ...

    def submit(self, task: Task, request: ResourceRequest) -> None:
        """Send one task."""
        ...

    def close(self) -> None:
        """End everything under way."""
        ...


@dataclasses.dataclass(slots=True)
class _UnderWay:
    task: Task
    request: ResourceRequest
    verdict: Verdict
    again: Callable[[Task], Task]


class Dispatcher:
    """The tasks of one run that are under way."""

    def __init__(
        self,
        *,
        workdir: Path,
        resubmissions: int,
        now: Callable[[], str],
        journal: Callable[[Entry], None],
        crashed: Callable[[Exception], None],
        sent: Callable[[Task], None] | None = None,
    ) -> None:
        """Start with nothing under way.

        Args:
            workdir: Working directory of the run.
            resubmissions: How often one attempt is repeated after a loss.
            now: Current time for records.
            journal: Writes an entry that no worker could write itself.
            crashed: Called when a task cannot be repeated for a reason that is not the task's.
            sent: Called before a task is sent, repetitions included.
        """
        self._workdir = workdir
        self._resubmissions = resubmissions
        self._now = now
        self._journal = journal
        self._crashed = crashed
        self._sent = sent
        self._lock = threading.Lock()
        self._under_way: dict[str, _UnderWay] = {}
        self._closed = False
        self.connection: Connection | None = None

    def submit(
        self,
        task: Task,
        request: ResourceRequest,
        verdict: Verdict,
        again: Callable[[Task], Task] = lambda task: task,
    ) -> None:
        """Send a task.

        Args:
            task: To be sent.
            request: What it asks of the cluster.
            verdict: Is called exactly once, from another thread.
            again: Prepares the task to be repeated after a loss, also from another thread; may
                raise a ``ReproError``.
        """
        assert self.connection is not None
        with self._lock:
            self._under_way[task.id] = _UnderWay(task, request, verdict, again)
        if self._sent is not None:
            self._sent(task)
        self.connection.submit(task, request)

    def done(self, result: TaskResult) -> None:
        """Take the result of a task from the connection."""
        entry = self._pop(result.id)
        if entry is not None:
            for line in result.entries or ():  # its node could not write them here
                if (relayed := Entry.from_line(line)) is not None:
                    self._journal(relayed)
            entry.verdict(entry.task, result)

    def lost(self, task_id: str, reason: str) -> None:
        """Take the loss of a task from the connection: find its result, repeat it, or give up."""
        entry = self._pop(task_id)
        if entry is None:
            return
        if (result := self._finished(entry.task)) is not None:
            entry.verdict(entry.task, result)
            return
        self._record(entry.task, JobStatus.LOST, reason)
        out_of_memory = reason.startswith(_OUT_OF_MEMORY)
        if out_of_memory or entry.task.resubmission >= self._resubmissions:
            entry.verdict(entry.task, _given_up(entry.task, reason, out_of_memory=out_of_memory))
            return
        pause = min(_FIRST_PAUSE_S * 2**entry.task.resubmission, _LONGEST_PAUSE_S)
        timer = threading.Timer(pause, self._repeat_soon, args=(entry,))
        timer.daemon = True
        timer.start()

    def without_place(self, nodes: Sequence[Node]) -> Iterator[tuple[Task, ResourceRequest]]:
        """Yield the tasks under way that none of the cluster's nodes can run, with what they ask.

        They wait, as for a node that was preempted: it may come back.
        """
        with self._lock:
            entries = list(self._under_way.values())
        for entry in entries:
            if not any(suits(entry.request, node) for node in nodes):
                yield entry.task, entry.request

    def broken(self, error: ClusterError) -> None:
        """Give up everything under way: there is no cluster any more."""
        for entry in self._drain():
            self._record(entry.task, JobStatus.LOST, error.message)
            result = TaskResult(
                id=entry.task.id, succeeded=False, error=error.message, hint=error.hint
            )
            entry.verdict(entry.task, result)

    def interrupt(self) -> tuple[Task, ...]:
        """Stop everything under way; return the tasks that did not finish."""
        self._closed = True
        stopped = tuple(entry.task for entry in self._drain())
        if self.connection is not None:
            self.connection.close()
        # a worker may have finished, or recorded the interruption, in its last moment
        for line in unwritten(stopped, JobStatus.INTERRUPTED, "interrupted", at=self._now()):
            self._journal(line)
        return stopped

    @property
    def under_way(self) -> bool:
        """Whether a task has no verdict yet."""
        return bool(self._under_way)

    def close(self) -> None:
        """End the connection when all is done."""
        self._closed = True
        if self.connection is not None:
            self.connection.close()

    def _pop(self, task_id: str) -> _UnderWay | None:
        with self._lock:
            return self._under_way.pop(task_id, None)

    def _drain(self) -> Iterator[_UnderWay]:
        with self._lock:
            entries, self._under_way = list(self._under_way.values()), {}
        yield from entries

    def _repeat_soon(self, entry: _UnderWay) -> None:
        try:
            if not self._closed:
                self._repeat(entry)
        except Exception as exc:  # noqa: BLE001 - nobody waits for a timer, but for its task
            self._crashed(exc)

    def _repeat(self, entry: _UnderWay) -> None:
        try:
            if entry.task.tier is Tier.DIRECT:
                _clear(self._workdir, entry.task)
            fresh = entry.again(entry.task)
        except ReproError as exc:
            result = TaskResult(id=entry.task.id, succeeded=False, error=exc.message, hint=exc.hint)
            entry.verdict(entry.task, result)
            return
        task = dataclasses.replace(
            fresh,
            id=uuid.uuid4().hex,
            resubmission=entry.task.resubmission + 1,
            log=_next_log(entry.task),
            members=tuple(
                dataclasses.replace(member, id=uuid.uuid4().hex) for member in entry.task.members
            ),
        )
        self.submit(task, entry.request, entry.verdict, entry.again)

    def _finished(self, task: Task) -> TaskResult | None:
        """Return the result of a task that ended before its message was lost."""
        records = recorded(self._workdir, task)
        if len(records) < len(task.members):
            return None
        if any(record.status is JobStatus.INTERRUPTED for record in records):
            return None
        error = next((record.error for record in records if record.error), None)
        succeeded = all(record.status is JobStatus.SUCCEEDED for record in records)
        return TaskResult(id=task.id, succeeded=succeeded, jobs=tuple(records), error=error)

    def _record(self, task: Task, status: JobStatus, reason: str) -> None:
        for entry in unfinished(task, status, reason, at=self._now()):
            self._journal(entry)


def _given_up(task: Task, reason: str, *, out_of_memory: bool) -> TaskResult:
    if out_of_memory:
        hint = "Ask for more `mem_mb` in the rule, or run fewer jobs at once."
        return TaskResult(id=task.id, succeeded=False, error=reason, hint=hint)
    tries = task.resubmission + 1
    return TaskResult(
        id=task.id,
        succeeded=False,
        error=f"its worker was lost {tries} times, last: {reason}",
        hint="If the job uses more memory than it asks for, raise its `mem_mb`; "
        "--ray-resubmissions sets how often it is repeated.",
    )


def _next_log(task: Task) -> str:
    stem = task.log.removesuffix(".log").partition("+")[0]
    return f"{stem}+{task.resubmission + 1}.log"


def _clear(workdir: Path, task: Task) -> None:
    """Remove what a dead attempt may have left, and make its parents again.

    Raises:
        StorageError: Something cannot be removed.
    """
    for file in _outputs(task):
        path = workdir / file.path
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StorageError(
                f"cannot remove {path}, left by an attempt that was lost: {exc.strerror}",
                hint="Remove it by hand and run again.",
            ) from exc


def _outputs(task: Task) -> Sequence[FileRecord]:
    return [file for member in task.members for file in member.spec.outputs]
