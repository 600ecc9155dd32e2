"""A job's record: its spec completed before it runs, and what became of it after."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from snakemake_repro.backends.agents import Ended
from snakemake_repro.backends.files import observe, stamps
from snakemake_repro.backends.host import describe_host
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.logic import metrics
from snakemake_repro.logic.canonical import job_key
from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.records import (
    FileRecord,
    Isolation,
    IsolationMode,
    JobRecord,
    JobSpec,
    JobStatus,
    Origin,
)
from snakemake_repro.records.tasks import Member, Task

_SIGNAL_BASE = 128


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A member with everything known before it runs."""

    member: Member
    spec: JobSpec
    stamps: Mapping[str, tuple[int, int, int]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a task runs: its working directory, its environment, what is known of its files.

    Attributes:
        members: Environments of jobs of a fork that run elsewhere than the fork, by attempt id.
    """

    root: Path
    store: Path
    environment: RealisedEnvironment
    cache: StatCache
    members: Mapping[str, RealisedEnvironment] = dataclasses.field(default_factory=dict)

    def of(self, member: Member) -> RealisedEnvironment:
        """Return where a member's commands run."""
        return self.members.get(member.id, self.environment)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How a task went.

    Attributes:
        ended: ``None`` when it was interrupted.
        linked: Inputs whose change time is ours.
        artifacts: What its first job left to be kept.
        lost: What could not be kept of that.
    """

    started: str
    finished: str
    ended: Ended | None
    report: metrics.Report
    isolation: Isolation | None = None
    violations: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    artifacts: tuple[FileRecord, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def status(self) -> JobStatus:
        """How it ended on its node."""
        if self.ended is None:
            return JobStatus.INTERRUPTED
        return JobStatus.FAILED if self.ended.status or self.offends else JobStatus.SUCCEEDED

    @property
    def offends(self) -> bool:
        """Whether the job did what fails it although it ended well."""
        enforced = self.isolation is not None and self.isolation.mode is IsolationMode.ENFORCE
        return enforced and bool(self.violations)

    @property
    def error(self) -> str | None:
        """What failed, in one line."""
        if self.ended is None:
            return None
        said = [_describe(self.ended)] if self.ended.status else []
        if self.offends:
            more = len(self.violations) - 1
            said.append(f"it {self.violations[0]}" + (f" (and {more} more)" if more else ""))
        return "; ".join(said) or None

    @property
    def hint(self) -> str | None:
        """What may help where the failure itself does not say it."""
        closed = self.isolation
        if closed is None or self.error is None or closed.mode is not IsolationMode.ENFORCE:
            return None
        if self.violations:
            return "Declare it, or let the rule run open with `resources: hermetic=False`."
        if closed.traced is not None:
            return None
        return (
            "The job ran hermetically: what its rule does not declare is not there. With strace "
            "on the nodes and without `--ray-hermetic-trace off`, undeclared reads are named."
        )


def prepare(task: Task, member: Member, place: Place) -> Prepared:
    """Complete a member's spec with the digests of its inputs and its environment."""
    if not task.record:
        return Prepared(member=member, spec=member.spec, stamps={})
    inputs = _observed(member.spec.inputs, place)
    spec = dataclasses.replace(
        member.spec, inputs=inputs, environment=place.of(member).record.digest
    )
    return Prepared(member=member, spec=spec, stamps=stamps(place.root, inputs))


def job_record(task: Task, item: Prepared, place: Place, course: Course) -> JobRecord:
    """Describe what became of one member."""
    ended, report = course.ended, course.report
    redact = Redactor({name: task.variables[name] for name in task.secrets})
    succeeded = course.status is JobStatus.SUCCEEDED
    recorded = task.record
    leads = item.member is task.members[0]  # what the jobs of a group report is known together
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
        outputs=_observed(item.spec.outputs, place, task.shadow) if recorded and succeeded else (),
        log=observe(place.root / task.log, root=place.root) if recorded else None,
        host=describe_host().id,
        resources=item.member.resources,
        use=None if ended is None else ended.use,
        metrics=report.metrics,
        params_reported=redact.json(dict(report.params)),
        seeds=report.seeds,
        tags=redact.json(dict(report.tags)),
        integrity=(*_changed(place.root, item), *report.problems, *(course.lost if leads else ())),
        group=task.group,
        reason=item.member.reason,
        isolation=course.isolation,
        violations=course.violations,
        artifacts=course.artifacts if leads else (),
        models=redact.json(dict(report.models)) if leads else {},
        trials=metrics.redacted(report.trials, redact) if leads else (),
    )


def refresh(item: Prepared, place: Place, linked: tuple[str, ...]) -> None:
    """Keep the digests of inputs whose change time is ours, if nothing else changed."""
    if not linked:
        return
    moved = set(linked)
    now = stamps(place.root, item.spec.inputs)
    for file in item.spec.inputs:
        path = os.path.normpath(place.root / file.path)
        if path in moved and file.digest and now.get(file.path) == item.stamps.get(file.path):
            place.cache.refresh(place.root / file.path, file.digest, file.size)


def _observed(
    files: tuple[FileRecord, ...], place: Place, shadow: str | None = None
) -> tuple[FileRecord, ...]:
    """Look at files; at those that lie in a shadow directory, there."""

    def seen(file: FileRecord) -> FileRecord:
        shadowed = shadow is not None and os.path.lexists(Path(shadow, file.path))
        root = Path(shadow) if shadow and shadowed else place.root
        path = root / file.path
        return observe(path, root=root, name=file.name, flags=file.flags, cache=place.cache)

    return tuple(map(seen, files))


def _changed(root: Path, item: Prepared) -> Iterator[str]:
    """Name the inputs that are not what they were when the job began."""
    now = stamps(root, item.spec.inputs)
    for path, stamp in item.stamps.items():
        if now.get(path) != stamp:
            yield f"input {path} changed while the job ran"


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
