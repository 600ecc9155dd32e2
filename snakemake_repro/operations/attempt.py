"""One job that records itself: what is known before it runs, and what it did."""

from __future__ import annotations

import dataclasses
import os
import resource
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from snakemake_repro.backends.artifacts import artifacts_root, keep
from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.environments.store import NodeEnvironments, default_root
from snakemake_repro.backends.files import observe, stamps
from snakemake_repro.backends.host import describe_host
from snakemake_repro.backends.journal import FileJournal, cache_file
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.logic import metrics
from snakemake_repro.logic.canonical import job_key
from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.records import (
    EnvironmentKind,
    EnvironmentRecord,
    EnvironmentSeen,
    EnvironmentSpec,
    FileKind,
    FileRecord,
    HostSeen,
    JobEnded,
    JobRecord,
    JobSpec,
    JobStatus,
    Json,
    Origin,
    ResourceUse,
    RunEnd,
    RunEnded,
    Tier,
)

WRITER = "wrapper"
"""Kind of writer in the journal's file names; the logger plugin looks for it."""

_WORTH_KEEPING = 1 << 20
_MIB = 1 << 20
_BLOCK = 512
_MAX_ERROR = 1_000
_clock = SystemClock()


class Attempt:
    """One job that records itself; see ``operations.standalone``."""

    def __init__(
        self,
        *,
        run_id: str,
        workdir: Path,
        root: Path,
        spec: JobSpec,
        resources: Mapping[str, Json],
        redact: Redactor,
        tracking_uri: str | None,
        alone: bool,
    ) -> None:
        """Note the time, and what the inputs look like.

        Args:
            run_id: The run it belongs to.
            workdir: Working directory of the run.
            root: Working directory of the job; another one if the rule is a shadow rule.
            spec: The job, files not observed.
            resources: As requested.
            redact: Removes secrets.
            tracking_uri: Where MLflow is.
            alone: The run consists of this job only.
        """
        self.id = uuid.uuid4().hex
        self.run_id = run_id
        self.workdir = workdir
        self.tracking_uri = tracking_uri
        self._root = root
        self._spec = spec
        self._resources = resources
        self._redact = redact
        self._alone = alone
        self._pid = os.getpid()
        self._stamps = stamps(root, spec.inputs)
        self._used = _usage()
        self._clock = time.monotonic()
        self._started = _clock.now()

    @property
    def description(self) -> dict[str, Json]:
        """The content of ``$REPRO_JOB`` for the job and the processes it starts."""
        return {
            "id": self.id,
            "run": self.run_id,
            "rule": self._spec.rule,
            "wildcards": dict(self._spec.wildcards),
            "attempt": 1,
            "threads": self._spec.threads,
        }

    def end(self, lines: Iterable[bytes], artifacts: str, error: BaseException | None) -> None:
        """Write the record; in a process forked off the job, do nothing.

        Args:
            lines: What the job wrote to ``$REPRO_METRICS``.
            artifacts: What it wrote to ``$REPRO_ARTIFACTS``.
            error: The exception that ended it.

        Raises:
            ReproError: The record cannot be written, or a file not be read.
        """
        if os.getpid() != self._pid:
            return
        use = _difference(self._used, _usage(), time.monotonic() - self._clock)
        finished = _clock.now()
        report = metrics.parse(lines, now_ms=time.time_ns() // 1_000_000)
        status = _status(error)
        environment = realise_host()
        cache = StatCache.load(cache_file(self.workdir))
        known = len(cache)
        inputs = self._observe(self._spec.inputs, cache)
        succeeded = status is JobStatus.SUCCEEDED
        outputs = self._observe(self._spec.outputs, cache) if succeeded else ()
        kept, lost = keep(Path(artifacts), artifacts_root(self.workdir, self.run_id) / self.id)
        spec = dataclasses.replace(self._spec, inputs=inputs, environment=environment.digest)
        job = JobRecord(
            id=self.id,
            run_id=self.run_id,
            spec=spec,
            key=job_key(spec),
            status=status,
            origin=Origin.LOCAL,
            tier=Tier.SNAKEMAKE,
            started=self._started,
            finished=finished,
            error=None if succeeded else self._redact.text(_describe(error)),
            outputs=outputs,
            host=describe_host().id,
            resources=self._resources,
            use=use,
            metrics=report.metrics,
            params_reported=self._redact.json(report.params),
            seeds=report.seeds,
            tags=self._redact.json(report.tags),
            integrity=(*self._findings(outputs), *report.problems, *lost),
            artifacts=kept,
            models=self._redact.json(dict(report.models)),
            trials=metrics.redacted(report.trials, self._redact),
        )
        self._write(job, environment)
        if len(cache) > known and any((file.size or 0) >= _WORTH_KEEPING for file in inputs):
            cache.save(cache_file(self.workdir))

    def _observe(self, files: Iterable[FileRecord], cache: StatCache) -> tuple[FileRecord, ...]:
        return tuple(
            observe(self._root / file.path, root=self._root, name=file.name, cache=cache)
            for file in files
        )

    def _findings(self, outputs: Iterable[FileRecord]) -> Iterator[str]:
        now = stamps(self._root, self._spec.inputs)
        for path, stamp in self._stamps.items():
            if now.get(path) != stamp:
                yield f"input {path} changed while the job ran"
        for file in outputs:
            if file.kind is FileKind.MISSING:
                yield f"output {file.path} was not there yet when the recorded block ended"

    def _write(self, job: JobRecord, environment: EnvironmentRecord) -> None:
        journal = FileJournal(self.workdir, self.run_id, WRITER)
        now = _clock.now()
        try:
            journal.append(
                HostSeen(run_id=self.run_id, at=now, host=describe_host()), durable=False
            )
            journal.append(
                EnvironmentSeen(run_id=self.run_id, at=now, environment=environment),
                durable=False,
            )
            journal.append(JobEnded(run_id=self.run_id, at=now, job=job))
            if self._alone:
                succeeded = job.status is JobStatus.SUCCEEDED
                status = "succeeded" if succeeded else job.status.value
                end = RunEnd(status=status, finished=now)
                journal.append(RunEnded(run_id=self.run_id, at=now, end=end))
        finally:
            journal.close()


def realise_host() -> EnvironmentRecord:
    """Return what the environment of this process consists of."""
    spec = EnvironmentSpec(kind=EnvironmentKind.HOST, name="host")
    return NodeEnvironments(default_root()).realise(spec).record


def _status(error: BaseException | None) -> JobStatus:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return JobStatus.SUCCEEDED
    if isinstance(error, KeyboardInterrupt):
        return JobStatus.INTERRUPTED
    return JobStatus.FAILED


def _describe(error: BaseException | None) -> str:
    if isinstance(error, SystemExit):
        return f"the script exited with status {error.code}"
    first = str(error).strip().splitlines()[:1]
    return ": ".join((type(error).__name__, *first))[:_MAX_ERROR]


def _usage() -> tuple[resource.struct_rusage, resource.struct_rusage]:
    return resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)


def _difference(
    before: tuple[resource.struct_rusage, ...],
    after: tuple[resource.struct_rusage, ...],
    seconds: float,
) -> ResourceUse:
    """Return what this process and its children used between two moments."""

    def grown(field: str) -> float:
        pairs = zip(before, after, strict=True)
        return sum(float(getattr(b, field)) - float(getattr(a, field)) for a, b in pairs)

    return ResourceUse(
        wall_s=round(seconds, 6),
        cpu_user_s=round(grown("ru_utime"), 6),
        cpu_system_s=round(grown("ru_stime"), 6),
        max_rss_mb=max(use.ru_maxrss for use in after) / 1024,
        read_mb=grown("ru_inblock") * _BLOCK / _MIB,
        written_mb=grown("ru_oublock") * _BLOCK / _MIB,
    )
