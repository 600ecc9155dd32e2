"""The record of one run, written from within Snakemake's own process.

Jobs that record themselves (wrappers, ``track()``) write what they know into the journal of the
same run; here, only Snakemake's verdict is added to it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snakemake_logger_plugin_repro.jobs import Composer, Running
from snakemake_logger_plugin_repro.live import Temporaries, jobs_by_number
from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.host import describe_host
from snakemake_repro.backends.snakemake_environments import RuleEnvironments
from snakemake_repro.backends.snakemake_jobs import Settings, Translator
from snakemake_repro.backends.snakemake_run import config_digest, describe_run, secrets_of
from snakemake_repro.logic import plain
from snakemake_repro.logic.redaction import Redactor, guess_secrets
from snakemake_repro.operations.attempt import realise_host
from snakemake_repro.operations.own_records import OwnRecords
from snakemake_repro.operations.session import Recording
from snakemake_repro.records import (
    EnvironmentSeen,
    JobEnded,
    JobRecord,
    JobStatus,
    Origin,
)
from snakemake_repro.records.tasks import Member, TaskResult

_MAX_ERROR = 1_000
_INTERRUPTED = re.compile(r"SIGINT|exit status 130\b")
_BLIND_TO = (
    "recorded by Snakemake's process: files were read after each job, not where it ran",
    "resource use was not seen, except of jobs that record themselves",
)
_BLIND_TO_REMOTE = "hosts, environments and logs of jobs on other machines were not seen"


class Run:
    """One run while it goes on; events come in one after the other."""

    def __init__(
        self,
        workflow: Any,
        *,
        temporaries: Temporaries,
        run_id: str,
        workdir: Path,
        experiment: str | None,
        tracking_uri: str | None,
        mlflow_runs: str,
    ) -> None:
        """Write the beginning.

        Args:
            workflow: Snakemake's, with its DAG.
            temporaries: Files that were read before Snakemake could remove them.
            run_id: The run.
            workdir: Its working directory.
            experiment: MLflow experiment.
            tracking_uri: MLflow tracking URI.
            mlflow_runs: Which jobs get an MLflow run.

        Raises:
            StorageError: The record cannot be written.
        """
        self._workflow = workflow
        self._run_id = run_id
        self._clock = SystemClock()
        self._redact = Redactor({**guess_secrets(os.environ), **secrets_of(workflow)})
        self._recording = Recording(workdir, run_id, self._clock)
        self._translator = _translator(workflow, self._recording, run_id, workdir, self._redact)
        self._own = OwnRecords(workdir, run_id)
        self._running: dict[int, Running] = {}
        self._attempts: dict[int, int] = {}
        self._jobs: dict[int, Any] = {}
        self._last_error = ""
        self._made: set[str] = set()
        self._any_failed = self._interrupted = False
        host, environment = describe_host(), realise_host()
        self._composer = Composer(
            workflow,
            self._recording,
            temporaries,
            run_id=run_id,
            host=host.id,
            environment=environment.digest,
        )
        run = describe_run(
            workflow,
            run_id=run_id,
            started=self._clock.now(),
            workdir=workdir,
            host=host.id,
            redact=self._redact,
            executor=workflow.executor_plugin.name,
            experiment=experiment,
            tracking_uri=tracking_uri,
            mlflow_runs=mlflow_runs,
        )
        blind = _BLIND_TO if workflow.local_exec else (*_BLIND_TO, _BLIND_TO_REMOTE)
        self._recording.start(dataclasses.replace(run, completeness=blind), host)
        self._recording.append(
            EnvironmentSeen(run_id=run_id, at=self._clock.now(), environment=environment)
        )

    def error(self, text: str) -> None:
        """Take an error message; which job it is about, it does not say."""
        self._last_error = text

    def interrupt(self) -> None:
        """Take the user's wish to stop: what fails from now on is interrupted."""
        self._interrupted = True

    def job_started(self, jobid: int, created: float) -> None:
        """Take the start of a job, in seconds since the epoch."""
        if jobid in self._running:
            # started again without having ended: it failed unheard, and is repeated
            self.job_failed(jobid, created)
        self._attempts[jobid] = self._attempts.get(jobid, 0) + 1
        self._running[jobid] = Running(started=created, attempt=self._attempts[jobid])

    def job_finished(self, jobid: int, created: float) -> None:
        """Take Snakemake's word that a job's outputs are accepted.

        Raises:
            ReproError: The record cannot be written, or a file not be read.
        """
        running, job = self._running.pop(jobid, None), self._job(jobid)
        if running is None or job is None or _does_nothing(job):
            return
        member = self._translator.member(job)
        own = [r for r in self._own.take(member.spec) if r.status is JobStatus.SUCCEEDED]
        if not own:
            own = [self._composer.compose(job, member, running, JobStatus.SUCCEEDED, created)]
            self._write(own[0])
        flagged = tuple(_with_flags(record, member) for record in own)
        self._recording.accepted(TaskResult(id=member.id, succeeded=True, jobs=flagged))
        for record in own:
            self._made.update(file.path for file in record.outputs)
            self._composer.remember(record.outputs)

    def job_failed(self, jobid: int, created: float, status: JobStatus = JobStatus.FAILED) -> None:
        """Take the failure of an attempt.

        Raises:
            ReproError: The record cannot be written, or a file not be read.
        """
        running, job = self._running.pop(jobid, None), self._job(jobid)
        if running is None or job is None or _does_nothing(job):
            return
        member = self._translator.member(job)
        if self._interrupted or _INTERRUPTED.search(self._error(member) or ""):
            status = JobStatus.INTERRUPTED
        self._any_failed |= status is JobStatus.FAILED
        own = self._own.take(member.spec)
        if all(record.status is JobStatus.SUCCEEDED for record in own):
            record = self._composer.compose(job, member, running, status, created)
            record = dataclasses.replace(record, error=self._error(member))
            self._write(record)
            own.append(record)
        self._last_error = ""
        self._recording.rejected(
            [record.id for record in own],
            own[-1].error or status.value,
            interrupted=status is JobStatus.INTERRUPTED,
        )

    def end(self) -> None:
        """Write what is still open: jobs that ended without a word, reused results, the end.

        Raises:
            ReproError: The record cannot be written.
        """
        dag, gave_up = self._workflow.dag, self._workflow.scheduler.failed
        failed = {single.jobid for job in gave_up for single in _singles(job)}
        for jobid in list(self._running):
            # the Snakemake that runs a `run:` block reports its failure on its own, not to us
            status = JobStatus.FAILED if jobid in failed else JobStatus.INTERRUPTED
            self.job_failed(jobid, time.time(), status)
        for job in dag.jobs:
            if job.output and not dag.needrun(job):
                member = self._translator.member(job)
                # once a checkpoint is through, what ran before it looks up to date
                if self._made.isdisjoint(file.path for file in member.spec.outputs):
                    self._recording.foreign(member, Origin.REUSED)
        left = any(not _does_nothing(job) for job in dag.needrun_jobs())
        if left and self._interrupted:
            self._recording.finish("interrupted")
        elif gave_up or (left and self._any_failed):
            self._recording.finish("failed")
        else:
            self._recording.finish("interrupted" if left else "succeeded")

    def _write(self, record: JobRecord) -> None:
        self._recording.append(JobEnded(run_id=record.run_id, at=self._clock.now(), job=record))

    def _error(self, member: Member) -> str | None:
        """Return Snakemake's last error if it is about this job."""
        text = self._redact.text(self._last_error).strip()
        about = member.spec.command is not None and member.spec.command.strip() in text
        if not text or (self._running and not about):
            return None
        return text.splitlines()[-1][:_MAX_ERROR]

    def _job(self, jobid: int) -> Any:
        if jobid not in self._jobs:
            # checkpoints add jobs while a run goes on
            self._jobs = jobs_by_number(self._workflow)
        return self._jobs.get(jobid)


def _translator(
    workflow: Any, recording: Recording, run_id: str, workdir: Path, redact: Redactor
) -> Translator:
    """Return what turns Snakemake's jobs into specs; tasks are not asked of it."""
    settings = Settings(
        run_id=run_id,
        workdir=workdir,
        fork_only=True,
        record=True,
        environment_store=None,
        config_digest=config_digest(plain.describe(dict(workflow.config))),
        variables={},
        secrets=(),
    )
    return Translator(
        workflow,
        settings,
        redact=redact,
        snakemake_argv=lambda _: (),
        known=lambda _: None,
        environments=RuleEnvironments(workflow, workdir, image=None),
        keep=recording.code,
    )


def _does_nothing(job: Any) -> bool:
    """Tell whether a job stands for nothing but its inputs, as ``rule all`` does."""
    return bool(job.is_norun and not job.output)


def _singles(job: Any) -> Sequence[Any]:
    return list(job) if job.is_group() else [job]


def _with_flags(record: JobRecord, member: Member) -> JobRecord:
    """Return a job's own record with Snakemake's markers of its outputs, unknown to itself."""
    flags = {file.path: file.flags for file in member.spec.outputs}
    outputs = tuple(
        dataclasses.replace(file, flags=flags.get(file.path, ())) for file in record.outputs
    )
    return dataclasses.replace(record, outputs=outputs)
