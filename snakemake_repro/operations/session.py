"""Record one workflow run from the driver's side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from snakemake_repro.backends.files import observe
from snakemake_repro.backends.journal import FileJournal, cache_file
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.interfaces import Clock
from snakemake_repro.logic.canonical import job_key
from snakemake_repro.records import (
    CodeSeen,
    CodeText,
    Entry,
    EnvironmentSeen,
    FileKind,
    FileRecord,
    Host,
    HostSeen,
    JobAccepted,
    JobEnded,
    JobRecord,
    JobRejected,
    JobStatus,
    Json,
    Origin,
    RunEnd,
    RunEnded,
    RunStarted,
    Tier,
    WorkflowRun,
)
from snakemake_repro.records.tasks import Member, TaskResult

_TEMPORARY = "temp"
_TOUCHED = frozenset(("touch",))


class Recording:
    """The driver's journal of a run, and the digests known so far."""

    def __init__(self, workdir: Path, run_id: str, clock: Clock) -> None:
        self._workdir = workdir
        self._run_id = run_id
        self._clock = clock
        self._journal = FileJournal(workdir, run_id, "driver")
        self._cache = StatCache.load(cache_file(workdir))
        self._temporary: dict[str, tuple[FileRecord, ...]] = {}
        self._seen: set[str] = set()

    def start(self, run: WorkflowRun, host: Host) -> None:
        """Write the beginning; a store that cannot be written is noticed here, before any job."""
        at = self._clock.now()
        self._journal.append(RunStarted(run_id=run.id, at=at, run=run))
        self._journal.append(HostSeen(run_id=run.id, at=at, host=host))

    def known(self, paths: Sequence[str]) -> Json:
        """Return stat-cache entries for files that were hashed before."""
        return self._cache.select(self._workdir / path for path in paths)

    def append(self, entry: Entry) -> None:
        """Write an entry that another part composed; of hosts and environments once."""
        if isinstance(entry, HostSeen | EnvironmentSeen):
            what = entry.host.id if isinstance(entry, HostSeen) else str(entry.environment.digest)
            if what in self._seen:
                return
            self._seen.add(what)
        self._journal.append(entry)

    def code(self, code: CodeText) -> None:
        """Write the text of code that jobs of this run have."""
        entry = CodeSeen(run_id=self._run_id, at=self._clock.now(), code=code)
        self._journal.append(entry, durable=False)

    def accepted(self, result: TaskResult) -> None:
        """Write that Snakemake accepted a task's outputs.

        Snakemake touches outputs on acceptance and makes ``touch()`` outputs itself: the former
        changes what the stat cache knows a file by, the latter are hashed here.
        """
        self._cache.merge(result.known)
        for job in result.jobs:
            late = tuple(self._late(job.outputs))
            self._refresh(job.outputs)
            self._temporary_outputs(job)
            self._journal.append(
                JobAccepted(run_id=self._run_id, at=self._clock.now(), job_id=job.id, outputs=late),
                durable=False,  # the worker's line is on disk; this one survives our own death
            )

    def rejected(self, job_ids: Iterable[str], reason: str, *, interrupted: bool = False) -> None:
        """Write that attempts do not count."""
        for job_id in job_ids:
            self._journal.append(
                JobRejected(
                    run_id=self._run_id,
                    at=self._clock.now(),
                    job_id=job_id,
                    reason=reason,
                    interrupted=interrupted,
                )
            )

    def foreign(self, member: Member, origin: Origin) -> None:
        """Write a job that the cluster did not run: a local rule, or results found up to date."""
        inputs = tuple(self.observe(file) for file in member.spec.inputs)
        outputs = tuple(self.observe(file) for file in member.spec.outputs)
        spec = dataclasses.replace(member.spec, inputs=inputs)
        now = self._clock.now()
        job = JobRecord(
            id=member.id,
            run_id=self._run_id,
            jobid=member.jobid,
            spec=spec,
            key=job_key(spec),
            status=JobStatus.SUCCEEDED,
            origin=origin,
            tier=Tier.SNAKEMAKE,
            finished=now if origin is Origin.LOCAL else None,
            outputs=outputs,
            resources=member.resources,
            reason=member.reason,
        )
        self._journal.append(JobEnded(run_id=self._run_id, at=now, job=job), durable=False)
        accepted = JobAccepted(run_id=self._run_id, at=now, job_id=job.id)
        self._journal.append(accepted, durable=False)
        if origin is Origin.LOCAL:
            self._temporary_outputs(job)

    def finish(self, status: str) -> None:
        """Write what became of temporary files, and the end."""
        for job_id, files in self._temporary.items():
            gone = [f.path for f in files if not (self._workdir / f.path).exists()]
            if gone:
                entry = JobAccepted(
                    run_id=self._run_id,
                    at=self._clock.now(),
                    job_id=job_id,
                    removed=tuple(gone),
                )
                self._journal.append(entry, durable=False)
        now = self._clock.now()
        end = RunEnd(status=status, finished=now)
        self._journal.append(RunEnded(run_id=self._run_id, at=now, end=end))
        self._journal.close()
        self._cache.save(cache_file(self._workdir))

    def observe(self, file: FileRecord) -> FileRecord:
        """Return a file of the run as it is now."""
        return observe(
            self._workdir / file.path,
            root=self._workdir,
            name=file.name,
            flags=file.flags,
            cache=self._cache,
        )

    def _late(self, files: Iterable[FileRecord]) -> Iterable[FileRecord]:
        for file in files:
            if file.kind is FileKind.MISSING or _TOUCHED & set(file.flags):
                yield self.observe(file)

    def _refresh(self, files: Iterable[FileRecord]) -> None:
        for file in files:
            if file.kind is FileKind.FILE and file.digest is not None:
                self._cache.refresh(self._workdir / file.path, file.digest, file.size)

    def _temporary_outputs(self, job: JobRecord) -> None:
        files = tuple(file for file in job.outputs if _TEMPORARY in file.flags)
        if files:
            self._temporary[job.id] = files
