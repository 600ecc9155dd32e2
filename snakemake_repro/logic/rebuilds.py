"""What came of executing jobs again from their record."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Callable, Sequence

from snakemake_repro.logic.change import Change, FileChange
from snakemake_repro.logic.changes import Side, changes, files_that_differ
from snakemake_repro.logic.made import Age, Made
from snakemake_repro.logic.outcomes import JobOutcome
from snakemake_repro.records import FileKind

_SEPARATORS = frozenset(",=")
_PASSING = frozenset(("pipe", "service"))


class Rebuilt(enum.Enum):
    """How a job came out the second time."""

    IDENTICAL = "identical"
    TOLERATED = "within tolerance"
    """Bytes differ, and every output counts as the same, as its rule declares."""
    DIFFERENT = "different"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RebuiltJob:
    """One job.

    Attributes:
        run_id: The run whose record it was executed from.
        outputs: What is not the same, byte for byte.
        changes: What determined the result and was not the same either.
        note: Why it failed or was not tried.
    """

    job: str
    run_id: str
    came: Rebuilt
    outputs: tuple[FileChange, ...] = ()
    changes: tuple[Change, ...] = ()
    note: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rebuild:
    """Jobs of a run, executed again.

    Attributes:
        of: Jobs that they were chosen from.
    """

    run_id: str
    of: int
    jobs: tuple[RebuiltJob, ...]

    @property
    def counts(self) -> dict[Rebuilt, int]:
        """How many jobs came out which way."""
        counted = Counter(job.came for job in self.jobs)
        return {came: counted[came] for came in Rebuilt}

    @property
    def differs(self) -> bool:
        """At least one job did not give what it gave before."""
        return any(job.came in (Rebuilt.DIFFERENT, Rebuilt.FAILED) for job in self.jobs)

    @property
    def undecided(self) -> bool:
        """At least one job could not be tried."""
        return not self.jobs or any(job.came is Rebuilt.NOT_TRIED for job in self.jobs)


def obstacle(item: Made) -> str | None:
    """Return why a job cannot be executed again on its own, if so."""
    spec = item.record.spec
    if item.age is Age.UNRECORDED:
        return "the job that made its outputs is not on record"
    if any(_SEPARATORS & set(value) for value in spec.wildcards.values()):
        return "Snakemake cannot be told a wildcard with a comma or an equals sign"
    if any(_PASSING & set(file.flags) for file in (*spec.inputs, *spec.outputs)):
        return "it runs together with other jobs"
    if any(file.kind not in (FileKind.FILE, FileKind.DIRECTORY) for file in spec.inputs):
        return "not every input was recorded"
    return None


def target_of(item: Made) -> str:
    """Return a job as Snakemake's ``--target-jobs`` names it."""
    spec = item.record.spec
    return f"{spec.rule}:{','.join(f'{k}={v}' for k, v in spec.wildcards.items())}"


def judged(
    old: Made,
    new: Made | None,
    outcome: JobOutcome | None,
    judge: Callable[[Made, FileChange], FileChange],
) -> RebuiltJob:
    """Compare a job with its repeat.

    Args:
        old: As it was.
        new: The repeat, if its results stand.
        outcome: What became of the repeat, if it was begun.
        judge: Asks the comparator that the job declares about an output whose bytes differ.
    """
    if new is None:
        error = None if outcome is None else outcome.last.record.error or outcome.last.reason
        note = error or "it did not run"
        return RebuiltJob(job=old.job.label, run_id=old.run_id, came=Rebuilt.FAILED, note=note)
    outputs = tuple(judge(old, file) for file in files_that_differ(old.job.files, new.job.files))
    sides = (Side(record=item.record, history=item.history) for item in (old, new))
    return RebuiltJob(
        job=old.job.label,
        run_id=old.run_id,
        came=_came(outputs),
        outputs=outputs,
        changes=changes(*sides),
    )


def _came(outputs: Sequence[FileChange]) -> Rebuilt:
    if not outputs:
        return Rebuilt.IDENTICAL
    return Rebuilt.TOLERATED if all(file.tolerated for file in outputs) else Rebuilt.DIFFERENT
