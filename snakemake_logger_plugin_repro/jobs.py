"""Records of jobs that do not record themselves, composed by Snakemake's process afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from snakemake_logger_plugin_repro.live import Temporaries
from snakemake_repro.logic.canonical import job_key
from snakemake_repro.operations.session import Recording
from snakemake_repro.records import (
    Digest,
    FileKind,
    FileRecord,
    JobRecord,
    JobStatus,
    Origin,
    Tier,
)
from snakemake_repro.records.tasks import Member

_PASSING = frozenset(("pipe", "service"))
"""Markers of outputs that exist only while other jobs use them."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A job that Snakemake started, at a time in seconds since the epoch."""

    started: float
    attempt: int


class Composer:
    """Composes job records of one run, and remembers what earlier jobs made."""

    def __init__(
        self,
        workflow: Any,
        recording: Recording,
        temporaries: Temporaries,
        *,
        run_id: str,
        host: str,
        environment: Digest,
    ) -> None:
        """Remember the collaborators.

        Args:
            workflow: Snakemake's.
            recording: Reads files.
            temporaries: Files that were read before Snakemake could remove them.
            run_id: The run.
            host: Identifier of this host.
            environment: Identity of the environment that Snakemake itself runs in.
        """
        self._workflow = workflow
        self._recording = recording
        self._temporaries = temporaries
        self._run_id = run_id
        self._host = host
        self._environment = environment
        self._made: dict[str, FileRecord] = {}

    def remember(self, outputs: Iterable[FileRecord]) -> None:
        """Take outputs that stand: they are the inputs of others even when they are gone."""
        known = (f for f in outputs if f.digest is not None or f.kind is FileKind.PIPE)
        self._made.update((file.path, file) for file in known)

    def compose(
        self, job: Any, member: Member, running: Running, status: JobStatus, ended: float
    ) -> JobRecord:
        """Return the record of a job that just ended.

        Raises:
            StorageError: A file of it is there but cannot be read.
        """
        environment = self._environment_of(job)
        inputs = tuple(map(self._input, member.spec.inputs))
        spec = dataclasses.replace(member.spec, inputs=inputs, environment=environment)
        succeeded = status is JobStatus.SUCCEEDED
        outputs = tuple(map(self._output, member.spec.outputs)) if succeeded else ()
        complete = environment is not None and all(file.digest is not None for file in inputs)
        return JobRecord(
            id=member.id,
            run_id=self._run_id,
            jobid=member.jobid,
            attempt=running.attempt,
            spec=spec,
            key=job_key(spec) if complete else None,
            status=status,
            origin=Origin.LOCAL,
            tier=Tier.SNAKEMAKE,
            started=_utc(running.started),
            finished=_utc(ended),
            outputs=outputs,
            log=self._log(member),
            host=self._host if self._is_here(job) else None,
            resources=member.resources,
            reason=member.reason,
            integrity=tuple(
                f"output {file.path} was gone before it could be read"
                for file in outputs
                if file.kind is FileKind.MISSING
            ),
        )

    def _output(self, file: FileRecord) -> FileRecord:
        """Return an output as it is, or as it was before it was removed by design."""
        if _PASSING & set(file.flags):
            return dataclasses.replace(file, kind=FileKind.PIPE)
        kept = self._temporaries.pop(file.path)
        if kept is None:
            return self._recording.observe(file)
        return dataclasses.replace(file, kind=kept.kind, digest=kept.digest, size=kept.size)

    def _input(self, file: FileRecord) -> FileRecord:
        """Return an input as it is, or, if it is gone by design, as it was made."""
        found = self._recording.observe(file)
        made = self._made.get(file.path)
        if found.kind is not FileKind.MISSING or made is None:
            return found
        return dataclasses.replace(found, kind=made.kind, digest=made.digest, size=made.size)

    def _log(self, member: Member) -> FileRecord | None:
        """Return the rule's first log file."""
        if not member.logs:
            return None
        found = self._recording.observe(FileRecord(path=member.logs[0]))
        return None if found.kind is FileKind.MISSING else found

    def _is_here(self, job: Any) -> bool:
        return bool(self._workflow.local_exec or job.is_local)

    def _environment_of(self, job: Any) -> Digest | None:
        """Return the environment of a job that ran in Snakemake's own, else nothing is known."""
        methods = self._workflow.deployment_settings.deployment_method
        own = methods and (job.conda_env_spec or job.container_img_url or job.env_modules)
        return self._environment if self._is_here(job) and not own else None


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
