"""What was done for the results of a run, by which attempts, of whichever run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from snakemake_repro.logic.history import JobHistory, RunHistory
from snakemake_repro.logic.made import Earlier
from snakemake_repro.logic.outcomes import label
from snakemake_repro.records import (
    EnvironmentRecord,
    FileKind,
    FileRecord,
    JobRecord,
    JobState,
    JobStatus,
    Origin,
)

PROJECT = "https://github.com/snakemake-repro/snakemake-executor-plugin-ray"
"""Who tells of them, in formats that ask for that."""

_CONTENT = (FileKind.FILE, FileKind.DIRECTORY)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """One attempt that did something.

    Attributes:
        history: The run that it belongs to.
        reused: Its results were there when the run that is told of began.
    """

    job: JobHistory
    history: RunHistory
    reused: bool = False

    @property
    def record(self) -> JobRecord:
        """What happened."""
        return self.job.record

    @property
    def label(self) -> str:
        """Rule and wildcards, for people to read."""
        return label(self.job)

    @property
    def inputs(self) -> tuple[FileRecord, ...]:
        """What it read, as far as it has content."""
        return tuple(file for file in self.record.spec.inputs if file.kind in _CONTENT)

    @property
    def outputs(self) -> tuple[FileRecord, ...]:
        """What it wrote, as far as it has content; nothing if it failed."""
        if self.error is not None:
            return ()
        return tuple(file for file in self.record.outputs if file.kind in _CONTENT)

    @property
    def environment(self) -> EnvironmentRecord | None:
        """Where it ran."""
        return self.history.environment(self.record.spec.environment)

    @property
    def error(self) -> str | None:
        """Why its results do not count; ``None`` if they do."""
        if self.job.state is JobState.INTERRUPTED:
            return self.job.reason or self.record.error or "interrupted"
        if self.record.status is not JobStatus.SUCCEEDED:
            return self.record.error or self.job.reason or self.record.status.value
        if self.job.state is JobState.REJECTED:
            return self.job.reason or "Snakemake did not accept its outputs"
        return None


def activities(
    history: RunHistory, earlier: Mapping[str, Earlier], runs: Mapping[str, RunHistory]
) -> tuple[Activity, ...]:
    """Return every attempt of a run, and those of earlier runs whose results it reused.

    Rules that only collect files did nothing and are left out, and so are results whose making is
    not on record.

    Args:
        history: The run.
        earlier: For paths that this run reused, who made them.
        runs: The earlier runs named there.
    """
    found = {activity.record.id: activity for activity in _activities(history, earlier, runs)}
    return tuple(sorted(found.values(), key=lambda one: (one.record.started or "", one.record.id)))


def _activities(
    history: RunHistory, earlier: Mapping[str, Earlier], runs: Mapping[str, RunHistory]
) -> Iterator[Activity]:
    attempts = {(run_id, job.record.id): job for run_id, run in runs.items() for job in run.jobs}
    for job in history.jobs:
        record = job.record
        if record.origin is not Origin.REUSED:
            if record.spec.kind != "norun" or record.outputs or record.spec.outputs:
                yield Activity(job=job, history=history)
            continue
        for file in record.outputs:
            if file.path in earlier:
                made = earlier[file.path]
                yield Activity(
                    job=attempts[made.run_id, made.job_id],
                    history=runs[made.run_id],
                    reused=True,
                )
