"""Explain why a job ran."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from snakemake_repro.backends.index import Index
from snakemake_repro.errors import NotFoundError
from snakemake_repro.logic.change import Change, ChangeKind
from snakemake_repro.logic.changes import Side, changes, files_that_differ, identity
from snakemake_repro.logic.history import JobHistory, RunHistory
from snakemake_repro.logic.lineage import MAX_DEPTH, Sighting, maker_of
from snakemake_repro.logic.outcomes import JobOutcome, Result, is_called, label, outcomes
from snakemake_repro.logic.why import Because, Before
from snakemake_repro.operations.access import find_files, find_run
from snakemake_repro.operations.since import changed_since
from snakemake_repro.records import MIN_PREFIX, Digest, JobRecord, Origin

_NAMED = 8


def why(index: Index, name: str, workdir: Path, run: str | None = None) -> tuple[Because, ...]:
    """Return why jobs ran: one answer for a file or a job, several for a rule.

    Args:
        index: The record.
        name: A file, else a rule, a rule with its wildcards (``train model=svm``), or the id of
            an attempt.
        workdir: Paths are relative to it.
        run: The run that is meant; ``None`` for the last one that made the file, or the latest.

    Raises:
        NotFoundError: The record does not know it.
        UsageError: The name is ambiguous.
        RecordError: A record that it takes cannot be read.
    """
    explained = _Explained(index)

    def told(because: Because) -> Because:
        record = explained.record(because.run_id, because.job_id)
        return dataclasses.replace(
            because,
            roots=explained.roots(because.job_id),
            since=changed_since(record, workdir),
        )

    if run is None:
        made = _maker_of(index, name, workdir)
        if made is not None:
            return (told(explained.attempt(made.step.run_id, made.step.id)),)
    run_id = find_run(index, run or "latest", workdir)
    history = explained.history(run_id)
    asked = [
        job
        for job in outcomes(history)
        if any(is_called(attempt, name) for attempt in job.attempts)
    ]
    if not asked:
        raise NotFoundError(
            f"no file and no job {name!r} in run {run_id[:MIN_PREFIX]}",
            hint=f"Name a file, a rule with or without its wildcards, or the id of an attempt; "
            f"rules of that run: {_rules(history)}.",
        )
    return tuple(told(explained.job(job, run_id)) for job in asked)


def _maker_of(index: Index, name: str, workdir: Path) -> Sighting | None:
    try:
        files = find_files(index, name, workdir)
    except NotFoundError:
        return None
    made = (maker_of(index, file.path, file.digest) for file in files)
    return next((one for one in made if one is not None), None)


def _rules(history: RunHistory) -> str:
    rules = sorted({job.rule for job in outcomes(history)})
    return ", ".join(rules[:_NAMED]) + (", ..." if len(rules) > _NAMED else "")


class _Explained:
    """Explains attempts; runs are loaded once, jobs told once."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._histories: dict[str, RunHistory] = {}
        self._jobs: dict[str, dict[str, JobHistory]] = {}
        self._told: set[str] = set()
        self._roots: dict[str, dict[Digest, Change]] = {}

    def history(self, run_id: str) -> RunHistory:
        """Return a run."""
        if run_id not in self._histories:
            self._histories[run_id] = history = self._index.load(run_id)
            self._jobs[run_id] = {job.record.id: job for job in history.jobs}
        return self._histories[run_id]

    def record(self, run_id: str, job_id: str) -> JobRecord:
        """Return an attempt."""
        self.history(run_id)
        return self._jobs[run_id][job_id].record

    def roots(self, job_id: str) -> tuple[Change, ...]:
        """Return what made an attempt run in the end, after it was explained."""
        return tuple(self._roots.get(job_id, {}).values())

    def job(self, job: JobOutcome, run_id: str) -> Because:
        """Explain a job of a run; of results that were up to date, the job that made them."""
        if job.result is Result.REUSED:
            before = self.history(run_id).run.started
            for file in job.files:
                made = maker_of(self._index, file.path, file.digest, before)
                if made is not None and made.step.origin is not Origin.REUSED:
                    because = self.attempt(made.step.run_id, made.step.id)
                    return dataclasses.replace(because, reused_by=run_id)
        return self.attempt(run_id, job.last.record.id)

    def attempt(self, run_id: str, job_id: str, depth: int = 0) -> Because:
        """Explain an attempt."""
        history = self.history(run_id)
        job = self._jobs[run_id][job_id]
        record = job.record
        self._told.add(job_id)
        self._roots[job_id] = {}
        because = Because(
            job=label(job),
            rule=record.spec.rule,
            run_id=run_id,
            job_id=job_id,
            at=record.started or record.finished,
            attempt=record.attempt,
            said=record.reason,
        )
        earlier = self._before(record)
        if earlier is None:
            return because
        old = Side(
            record=self.record(earlier.step.run_id, earlier.step.id),
            history=self.history(earlier.step.run_id),
        )
        found = changes(old, Side(record=record, history=history))
        return dataclasses.replace(
            because,
            before=Before(
                run_id=earlier.step.run_id,
                job_id=earlier.step.id,
                at=earlier.step.finished or earlier.step.at,
            ),
            changes=found,
            outputs=files_that_differ(old.record.outputs, record.outputs),
            causes=tuple(self._causes(record, earlier, found, depth)),
        )

    def _before(self, record: JobRecord) -> Sighting | None:
        """Return the last attempt before this one that made any of the same outputs."""
        began = record.started or record.finished
        for path in dict.fromkeys(file.path for file in record.spec.outputs):
            for seen in self._index.makers(path):
                step = seen.step
                other = step.id != record.id and step.origin is not Origin.REUSED
                if other and step.stands and (began is None or (step.finished or step.at) <= began):
                    return seen
        return None

    def _causes(
        self, record: JobRecord, earlier: Sighting, found: Sequence[Change], depth: int
    ) -> Iterator[Because]:
        """Yield why the makers of inputs ran that changed; gather what lies at the root."""
        roots = self._roots[record.id]
        for change in found:
            made = self._made_since(change, record, earlier)
            if made is None:
                roots[identity(change)] = change
                continue
            step = made.step
            if step.id not in self._told and depth < MAX_DEPTH:
                yield self.attempt(step.run_id, step.id, depth + 1)
            roots.update(self._roots.get(step.id, {}))

    def _made_since(self, change: Change, record: JobRecord, earlier: Sighting) -> Sighting | None:
        """Return who made an input that changed, if that was after the earlier attempt."""
        digest = _digest(change)
        if digest is None or change.name is None:
            return None
        made = maker_of(self._index, change.name, digest, record.started)
        if made is None or made.step.origin is Origin.REUSED or made.step.id == record.id:
            return None
        return made if made.step.at > earlier.step.at else None


def _digest(change: Change) -> Digest | None:
    """Return the new content of an input."""
    if change.kind is not ChangeKind.INPUT or not isinstance(change.new, str):
        return None
    return Digest.parse(change.new) if change.new.startswith("sha256:") else None
