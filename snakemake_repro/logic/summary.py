"""What `repro report` says of one run, as data."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from snakemake_repro.logic.debts import Debt
from snakemake_repro.logic.made import Age
from snakemake_repro.logic.outcomes import Result
from snakemake_repro.records import Digest, EnvironmentKind, FileKind, Host, Source


class Verdict(enum.Enum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNFINISHED = "unfinished"
    """No end is on record: it goes on, or its driver was killed."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobCounts:
    """Jobs by how they came out; each job counts once, however often it was tried."""

    total: int = 0
    executed: int = 0
    local: int = 0
    reused: int = 0
    failed: int = 0
    interrupted: int = 0
    unconfirmed: int = 0
    retried: int = 0
    resubmitted: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RuleSummary:
    """What the jobs of one rule cost.

    Attributes:
        wall_s: Sum over all attempts, in seconds.
        cpu_s: Likewise, user and system.
        max_rss_mb: Largest peak of any attempt, in MiB.
    """

    rule: str
    jobs: JobCounts
    wall_s: float | None
    cpu_s: float | None
    max_rss_mb: float | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A job that did not come out."""

    job: str
    result: Result
    job_id: str
    attempts: int
    error: str | None
    exit_code: int | None
    log: str | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentUse:
    """An environment and how many jobs made their results in it, in this run or before."""

    digest: Digest
    name: str
    kind: EnvironmentKind | None
    pinned: bool | None
    platform: str | None
    python: str | None
    packages: int
    jobs: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InputFile:
    """A file that jobs of this run read and none of them made."""

    path: str
    digest: Digest | None
    size: int | None
    kind: FileKind
    rules: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OutputFile:
    """A file that a job of this run stands for.

    Attributes:
        final: No other job of the run reads it: a result.
        removed: It was removed by design (``temp()``).
        age: Whether this run made it.
        run_id: The run that made it; ``None`` where that is not known.
        made: When, UTC; ``None`` likewise.
        environment: Name of the job's environment.
    """

    path: str
    digest: Digest | None
    size: int | None
    kind: FileKind
    final: bool
    removed: bool
    rule: str
    job: str
    job_id: str
    environment: str | None
    environment_digest: Digest | None
    age: Age
    run_id: str | None
    made: str | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MetricValue:
    """The last value of one metric of one job.

    Attributes:
        run_id: The run that computed it: an earlier one for reused results.
        age: Whether this run computed it.
        steps: How many values were reported.
    """

    rule: str
    job: str
    job_id: str
    run_id: str
    age: Age
    name: str
    value: float
    step: int
    steps: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """Outputs of one rule that are compared by content, not byte for byte.

    Attributes:
        comparator: As the Snakefile spells it.
        cause: Why their bytes differ, if the rule says so.
        files: How many there are.
    """

    rule: str
    comparator: str
    cause: str | None
    files: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """Everything that a report of a run says."""

    run_id: str
    name: str
    verdict: Verdict
    started: str
    finished: str | None
    duration_s: float | None
    user: str | None
    host: Host | None
    command: tuple[str, ...]
    executor: str | None
    snakefile: str | None
    targets: tuple[str, ...]
    versions: Mapping[str, str]
    experiment: str | None
    tracking_uri: str | None
    sources: tuple[Source, ...]
    planned: int | None
    jobs: JobCounts
    failures: tuple[Failure, ...]
    rules: tuple[RuleSummary, ...]
    environments: tuple[EnvironmentUse, ...]
    inputs: tuple[InputFile, ...]
    outputs: tuple[OutputFile, ...]
    metrics: tuple[MetricValue, ...]
    tolerances: tuple[Tolerance, ...]
    debts: tuple[Debt, ...]
