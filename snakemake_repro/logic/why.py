"""Why a job ran: what of its key is not what it was when its outputs were made before."""

from __future__ import annotations

import dataclasses

from snakemake_repro.logic.change import Change, FileChange


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """The attempt that made the same outputs before."""

    run_id: str
    job_id: str
    at: str | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Because:
    """Why one job ran.

    Attributes:
        reused_by: The run that was asked about, where it only found this job's results up to
            date.
        attempt: 2 and above: it was repeated after a failure.
        before: What it is compared with; ``None`` where nobody made its outputs before.
        said: Snakemake's own words.
        changes: What determines its result and is not what it was before.
        outputs: What came out other than before.
        roots: What made it run in the end, of the job asked for: its own changes and those of
            the jobs above it, without inputs that these made.
        since: Inputs and outputs that are not on disk as they were, of the job asked for.
        causes: Why the jobs ran that made inputs which changed; each job is told once.
    """

    job: str
    rule: str
    run_id: str
    job_id: str
    at: str | None
    reused_by: str | None = None
    attempt: int = 1
    before: Before | None = None
    said: str | None = None
    changes: tuple[Change, ...] = ()
    outputs: tuple[FileChange, ...] = ()
    roots: tuple[Change, ...] = ()
    since: tuple[Change, ...] = ()
    causes: tuple[Because, ...] = ()
