"""Jobs: what determines a result (spec), and what happened in one attempt (record)."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from snakemake_repro.records._fields import Json, Record
from snakemake_repro.records.digests import Digest
from snakemake_repro.records.files import FileRecord
from snakemake_repro.records.hosts import ResourceUse
from snakemake_repro.records.isolation import Isolation


class JobStatus(enum.Enum):
    """How an attempt ended on its node."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    INTERRUPTED = "interrupted"


class JobState(enum.Enum):
    """What Snakemake made of an attempt."""

    RAN = "ran"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INTERRUPTED = "interrupted"


class Origin(enum.Enum):
    """Where a job's outputs come from in this run."""

    RAY = "ray"
    LOCAL = "local"
    REUSED = "reused"


class Tier(enum.Enum):
    """How a job was executed."""

    DIRECT = "direct"
    FORK = "fork"
    SNAKEMAKE = "snakemake"
    """By Snakemake's own executor (local rules, other executors)."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobSpec(Record):
    """Everything that determines a job's result; its digest is the job key.

    Attributes:
        kind: ``shell``, ``script``, ``wrapper``, ``notebook``, ``run``, ``cwl``, ``template``,
            ``norun``.
        code: Digest of the code that runs: shell text before formatting, script or wrapper file,
            source of a ``run:`` block.
        modules: Digests of what a Python script imports from its project, by path relative to the
            script's directory.
        command: The formatted shell command with secrets redacted; ``None`` for other kinds.
        params: ``[[name or null, value], ...]`` in the rule's order.
        inputs: With digests once complete.
        outputs: Paths only; their digests are results, not causes.
        environment: Identity of the environment as realised; ``None`` until a node has done so.
        config: Digest of the workflow's configuration, for kinds whose code sees it.
        threads: Some libraries' results depend on it.
        source_name: File name of the script or wrapper, for readers; not part of the key.
    """

    rule: str
    kind: str
    wildcards: Mapping[str, str] = dataclasses.field(default_factory=dict)
    code: Digest | None = None
    modules: Mapping[str, Digest] = dataclasses.field(default_factory=dict)
    command: str | None = None
    params: tuple[Any, ...] = ()
    inputs: tuple[FileRecord, ...] = ()
    outputs: tuple[FileRecord, ...] = ()
    environment: Digest | None = None
    config: Digest | None = None
    threads: int = 1
    source_name: str | None = None

    @property
    def named_params(self) -> dict[str, Json]:
        """The parameters by name, those without one by their position."""
        return {
            str(position if name is None else name): value
            for position, (name, value) in enumerate(self.params)
        }


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Metric(Record):
    """One number that a job reported.

    Attributes:
        timestamp: Milliseconds since the epoch, UTC.
    """

    name: str
    value: float
    step: int = 0
    timestamp: int = 0


class TrialState(enum.Enum):
    """How a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trial(Record):
    """One trial of a job that searches for parameters.

    Attributes:
        number: Of the trial within its job, from 0.
        params: What it was given.
        metrics: What was measured of it.
    """

    number: int
    state: TrialState = TrialState.COMPLETE
    params: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord(Record):
    """What happened in one attempt at one job.

    Attributes:
        id: Unique identifier of the attempt (UUID, hex).
        run_id: The workflow run it belongs to.
        jobid: Snakemake's number of the job within the run.
        attempt: 1 for the first try; counts what Snakemake counts.
        resubmission: How often we repeated this attempt because a worker or node was lost.
        key: Digest of the spec; ``None`` where it could not be completed.
        status: How it ended on its node.
        started: UTC, ISO 8601 with microseconds.
        finished: Likewise.
        exit_code: Of the job's process; negative for a signal.
        error: One line on what failed.
        outputs: As found after the job, hashed where they were written.
        log: The captured standard output and error.
        host: Identifier of a ``Host`` in the same run.
        resources: As requested (threads, mem_mb, gpu, ...).
        params_reported: What the code reported at run time through ``$REPRO_METRICS``.
        seeds: Seeds set by ``track()`` or reported by the job.
        tags: Free labels reported by the job.
        integrity: Findings that weaken the record, e.g. an input changed while the job ran.
        group: Snakemake's group id, when the job ran as part of one.
        reason: Why Snakemake ran the job, in its words.
        isolation: How a hermetic job, or one without network, was closed off; ``None`` for all
            others.
        violations: What a hermetic job did, or tried, that its rule does not declare.
        artifacts: What it left in ``$REPRO_ARTIFACTS``, files and directories by name; kept in
            ``.repro/artifacts``.
        models: Which of them are models: name -> flavour, and the name to be registered under.
        trials: Of a job that searches for parameters, by their numbers.
    """

    id: str
    run_id: str
    spec: JobSpec
    jobid: int = 0
    attempt: int = 1
    resubmission: int = 0
    key: Digest | None = None
    status: JobStatus = JobStatus.SUCCEEDED
    origin: Origin = Origin.RAY
    tier: Tier = Tier.DIRECT
    started: str | None = None
    finished: str | None = None
    exit_code: int | None = None
    error: str | None = None
    outputs: tuple[FileRecord, ...] = ()
    log: FileRecord | None = None
    host: str | None = None
    resources: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    use: ResourceUse | None = None
    metrics: tuple[Metric, ...] = ()
    params_reported: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    seeds: Mapping[str, int] = dataclasses.field(default_factory=dict)
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    integrity: tuple[str, ...] = ()
    group: str | None = None
    reason: str | None = None
    isolation: Isolation | None = None
    violations: tuple[str, ...] = ()
    artifacts: tuple[FileRecord, ...] = ()
    models: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
