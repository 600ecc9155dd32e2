"""Every job and file of one run, numbered, for a reader who goes from one to the other.

Numbers are positions in the sequences of the ``Atlas``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from snakemake_repro.logic.lineage import Step
from snakemake_repro.logic.outcomes import Result
from snakemake_repro.records import Digest, EnvironmentRecord, FileKind, Json, Metric


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunPlace:
    """A run that did some of the work: the one that is told of, or an earlier one."""

    id: str
    started: str
    commit: str | None
    dirty: bool
    url: str | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FilePlace:
    """A path with its bytes.

    Attributes:
        maker: Number of the job that wrote it; ``None`` where no job of the run did.
        altered: A job of the run wrote to this path, but not these bytes.
        elsewhere: The attempt of another run that wrote these bytes to this path, where no job of
            this run did.
        removed: It was removed by design (``temp()``).
    """

    path: str
    digest: Digest | None
    size: int | None
    kind: FileKind
    maker: int | None
    altered: bool = False
    elsewhere: Step | None = None
    removed: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """When one attempt of the run was under way, in seconds since the run began."""

    start: float
    end: float
    succeeded: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobPlace:
    """A job, with what is known of the attempt that really did its work.

    Attributes:
        rule: Number of its rule.
        run: Number of the run that did the work; ``None`` where that is not on record.
        environment: Number of its environment.
        host: Name of the node.
        remarks: What weakens the record of it, and what it did without declaring it.
        tries: Of this run, those with times on record.
        metrics: Every reported value.
    """

    id: str
    rule: int
    wildcards: Mapping[str, str]
    result: Result
    attempts: int
    kind: str
    source_name: str | None
    command: str | None
    params: Mapping[str, Json]
    seeds: Mapping[str, int]
    key: Digest | None
    run: int | None
    environment: int | None
    host: str | None
    started: str | None
    wall_s: float | None
    cpu_s: float | None
    max_rss_mb: float | None
    error: str | None
    log: str | None
    remarks: tuple[str, ...]
    tries: tuple[Try, ...]
    metrics: tuple[Metric, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def values(self) -> str:
        """The wildcards, for people to read; empty without any."""
        return " ".join(f"{name}={value}" for name, value in self.wildcards.items())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Atlas:
    """A run as a graph of jobs and files.

    Attributes:
        runs: The first is the one that is told of.
        jobs: Makers of files before their readers.
    """

    runs: tuple[RunPlace, ...]
    rules: tuple[str, ...]
    environments: tuple[EnvironmentRecord, ...]
    files: tuple[FilePlace, ...]
    jobs: tuple[JobPlace, ...]

    @property
    def sources(self) -> tuple[int, ...]:
        """Numbers of the files that no job of the run made."""
        return tuple(n for n, file in enumerate(self.files) if file.maker is None)
