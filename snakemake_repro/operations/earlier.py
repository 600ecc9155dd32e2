"""Find who made the files that a run reused."""

from __future__ import annotations

from snakemake_repro.backends.index import Index
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.lineage import Step, maker_of
from snakemake_repro.logic.made import Earlier
from snakemake_repro.logic.outcomes import Result, outcomes
from snakemake_repro.records import Digest, Origin


def earlier_makers(
    index: Index, history: RunHistory
) -> tuple[dict[str, Earlier], dict[str, RunHistory]]:
    """Return who made the files that a run reused, by path, and the runs that did.

    Raises:
        RecordError: The record of one of these runs cannot be read.
    """
    earlier = _earlier(index, history)
    runs = {run_id: index.load(run_id) for run_id in {seen.run_id for seen in earlier.values()}}
    return earlier, runs


def makers_elsewhere(index: Index, history: RunHistory) -> dict[tuple[str, Digest], Step]:
    """Return which attempts of other runs made the files that a run read and did not make."""
    jobs = outcomes(history)
    made = {(file.path, file.digest) for job in jobs for file in job.files}
    read = {(file.path, file.digest) for job in jobs for file in job.last.record.spec.inputs}
    elsewhere = {}
    for path, digest in read - made:
        if digest is None:
            continue
        found = maker_of(index, path, digest, history.run.started)
        if found is not None and found.step.run_id != history.run.id:
            elsewhere[path, digest] = found.step
    return elsewhere


def _earlier(index: Index, history: RunHistory) -> dict[str, Earlier]:
    """Return who made the files that this run reused."""
    earlier = {}
    for job in outcomes(history):
        if job.result is not Result.REUSED:
            continue
        for file in job.files:
            if file.digest is None:
                continue
            made = maker_of(index, file.path, file.digest, history.run.started)
            if made is not None and made.step.origin is not Origin.REUSED:
                step = made.step
                earlier[file.path] = Earlier(
                    run_id=step.run_id, job_id=step.id, at=step.finished or step.at
                )
    return earlier
