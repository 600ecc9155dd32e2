"""What a run was, folded from its journal entries in whatever order they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from snakemake_repro.records import (
    CodeSeen,
    CodeText,
    Digest,
    Entry,
    EnvironmentRecord,
    EnvironmentSeen,
    FileKind,
    FileRecord,
    Host,
    HostSeen,
    JobAccepted,
    JobEnded,
    JobRecord,
    JobRejected,
    JobState,
    JobStatus,
    Record,
    RunEnd,
    RunEnded,
    RunStarted,
    WorkflowRun,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobHistory(Record):
    """One attempt and what Snakemake made of it.

    Attributes:
        record: The attempt; its outputs are those after acceptance.
        state: ``ran`` says: it ended on its node, and Snakemake's verdict is not known (the
            driver died first).
        removed: Outputs removed by design (``temp()``).
        reason: Why it was rejected.
    """

    record: JobRecord
    state: JobState
    removed: tuple[str, ...] = ()
    reason: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunHistory(Record):
    """A workflow run with all its attempts, environments and hosts.

    Attributes:
        run: ``None`` in no case: a journal without its beginning cannot be folded.
        end: ``None`` while the run goes on or when its driver was killed.
        jobs: Sorted by start time, then attempt id.
        environments: By digest text.
        hosts: By host id.
        codes: By digest text.
    """

    run: WorkflowRun
    end: RunEnd | None = None
    jobs: tuple[JobHistory, ...] = ()
    environments: Mapping[str, EnvironmentRecord] = dataclasses.field(default_factory=dict)
    hosts: Mapping[str, Host] = dataclasses.field(default_factory=dict)
    codes: Mapping[str, CodeText] = dataclasses.field(default_factory=dict)

    def environment(self, digest: Digest | None) -> EnvironmentRecord | None:
        """Return what is on record of an environment, if it is known at all."""
        return None if digest is None else self.environments.get(str(digest))


def fold(entries: Iterable[Entry]) -> RunHistory | None:
    """Fold the entries of one run; ``None`` when its beginning is not among them."""
    run: WorkflowRun | None = None
    end: RunEnd | None = None
    ended: dict[str, JobRecord] = {}
    accepted: dict[str, JobAccepted] = {}
    rejected: dict[str, JobRejected] = {}
    seen: list[EnvironmentSeen | HostSeen | CodeSeen] = []
    for entry in entries:
        match entry:
            case RunStarted():
                run = entry.run
            case RunEnded():
                end = entry.end
            case JobEnded():
                ended[entry.job.id] = entry.job
            case JobAccepted():
                accepted[entry.job_id] = _merged(accepted.get(entry.job_id), entry)
            case JobRejected():
                rejected[entry.job_id] = entry
            case EnvironmentSeen() | HostSeen() | CodeSeen():
                seen.append(entry)
            case _:
                pass
    if run is None:
        return None
    jobs = [_job(job, accepted.get(job.id), rejected.get(job.id)) for job in ended.values()]
    jobs.sort(key=lambda job: (job.record.started or "", job.record.id))
    return RunHistory(
        run=run,
        end=end,
        jobs=tuple(jobs),
        environments={
            str(entry.environment.digest): entry.environment
            for entry in seen
            if isinstance(entry, EnvironmentSeen)
        },
        hosts={entry.host.id: entry.host for entry in seen if isinstance(entry, HostSeen)},
        codes={str(entry.code.digest): entry.code for entry in seen if isinstance(entry, CodeSeen)},
    )


def unfold(history: RunHistory) -> Iterator[Entry]:
    """Yield entries that fold to a history, the run's beginning first, always in the same order."""
    run = history.run
    yield RunStarted(run_id=run.id, at=run.started, run=run)
    for _, host in sorted(history.hosts.items()):
        yield HostSeen(run_id=run.id, at=run.started, host=host)
    for _, environment in sorted(history.environments.items()):
        yield EnvironmentSeen(run_id=run.id, at=run.started, environment=environment)
    for _, code in sorted(history.codes.items()):
        yield CodeSeen(run_id=run.id, at=run.started, code=code)
    for job in history.jobs:
        yield from _unfold_job(job, run.id, run.started)
    if history.end is not None:
        yield RunEnded(run_id=run.id, at=history.end.finished, end=history.end)


def _unfold_job(job: JobHistory, run_id: str, began: str) -> Iterator[Entry]:
    record = job.record
    at = record.finished or record.started or began
    yield JobEnded(run_id=run_id, at=at, job=record)
    match job.state:
        case JobState.ACCEPTED:
            yield JobAccepted(run_id=run_id, at=at, job_id=record.id, removed=job.removed)
        case JobState.REJECTED | JobState.INTERRUPTED:
            yield JobRejected(
                run_id=run_id,
                at=at,
                job_id=record.id,
                reason=job.reason,
                interrupted=job.state is JobState.INTERRUPTED,
            )
        case JobState.RAN:
            pass


def _merged(earlier: JobAccepted | None, later: JobAccepted) -> JobAccepted:
    """Join what was written of one acceptance: on acceptance itself, and when the run ended."""
    if earlier is None:
        return later
    return dataclasses.replace(
        later,
        outputs=(*earlier.outputs, *later.outputs),
        removed=tuple(dict.fromkeys((*earlier.removed, *later.removed))),
    )


def _job(
    record: JobRecord, accepted: JobAccepted | None, rejected: JobRejected | None
) -> JobHistory:
    if accepted is not None:
        if accepted.outputs:
            newer = {file.path: file for file in accepted.outputs}
            outputs = tuple(newer.pop(file.path, file) for file in record.outputs)
            record = dataclasses.replace(record, outputs=(*outputs, *newer.values()))
        return JobHistory(record=record, state=JobState.ACCEPTED, removed=accepted.removed)
    if rejected is not None:
        state = JobState.INTERRUPTED if rejected.interrupted else JobState.REJECTED
        return JobHistory(record=record, state=state, reason=rejected.reason)
    if record.status is JobStatus.INTERRUPTED:
        return JobHistory(record=record, state=JobState.INTERRUPTED)
    return JobHistory(record=record, state=JobState.RAN)


def results(history: RunHistory) -> dict[str, tuple[FileRecord, JobHistory]]:
    """Return every output that stands: path -> (file, the attempt that made it).

    Of several attempts at the same output the last accepted one counts; files removed by design
    and files that were never there are left out. In a run recorded without its driver (see
    ``WorkflowRun.completeness``) Snakemake's verdict is unknown, and an attempt that succeeded
    counts.
    """
    standing: dict[str, tuple[FileRecord, JobHistory]] = {}
    unjudged = JobState.RAN if history.run.completeness else JobState.ACCEPTED
    for job in history.jobs:
        if job.state not in (JobState.ACCEPTED, unjudged):
            continue
        if job.record.status is not JobStatus.SUCCEEDED:
            continue
        for file in job.record.outputs:
            if file.kind in (FileKind.FILE, FileKind.DIRECTORY):
                standing[file.path] = (file, job)
        for path in job.removed:
            standing.pop(path, None)
    return standing
