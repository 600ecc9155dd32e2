"""Workflow runs: one invocation of ``snakemake``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from snakemake_repro.records._fields import Json, Record
from snakemake_repro.records.digests import Digest
from snakemake_repro.records.sources import GitState, Source


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowRun(Record):
    """One invocation of ``snakemake``, as known when it starts.

    Attributes:
        id: Unique identifier (UUID, hex).
        name: Name of the repository or working directory; the default MLflow experiment.
        started: UTC, ISO 8601.
        command: The command line with secrets redacted.
        snakefile: Path relative to the working directory where it lies below it.
        executor: ``ray``, ``local``, ... as the user chose it.
        targets: Requested targets; empty for the default target.
        config: The workflow's configuration with secrets redacted.
        config_digest: Digest of the complete configuration.
        sources: Where the workflow's code comes from; the first is the main one.
        versions: Of what executes: python, snakemake, ray, snakemake-repro.
        user: Login name.
        host: Identifier of the driver's ``Host``.
        experiment: MLflow experiment that receives the run.
        tracking_uri: MLflow tracking URI with credentials removed.
        mlflow_runs: Which jobs get an MLflow run: ``auto``, ``all``, ``tracked``, ``workflow``.
        job_count: Jobs planned when the run starts.
        repeat_of: The run that it repeats, for `repro rerun`.
        completeness: What this kind of recording cannot see; empty for the executor's own.
    """

    id: str
    name: str
    started: str
    command: tuple[str, ...] = ()
    snakefile: str | None = None
    executor: str | None = None
    targets: tuple[str, ...] = ()
    config: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    config_digest: Digest | None = None
    sources: tuple[Source, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    user: str | None = None
    host: str | None = None
    experiment: str | None = None
    tracking_uri: str | None = None
    mlflow_runs: str = "auto"
    job_count: int | None = None
    repeat_of: str | None = None
    completeness: tuple[str, ...] = ()

    @property
    def git(self) -> GitState | None:
        """The version control state of its main source."""
        return self.sources[0].git if self.sources else None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunEnd(Record):
    """How a workflow run ended.

    Attributes:
        status: ``succeeded``, ``failed`` or ``interrupted``.
    """

    status: str
    finished: str
