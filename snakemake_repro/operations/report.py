"""Report where a run's results come from."""

from __future__ import annotations

from snakemake_repro.backends.index import Index
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.lineage import maker
from snakemake_repro.logic.outcomes import Result, outcomes
from snakemake_repro.logic.summary import Earlier, RunSummary
from snakemake_repro.logic.summary_builder import summarise
from snakemake_repro.records import Origin


def report(index: Index, run_id: str) -> RunSummary:
    """Return the summary of a run, with old results told from new ones.

    Raises:
        NotFoundError: There is no such run.
        RecordError: The record of the run, or of one whose results it reuses, cannot be read.
    """
    history = index.load(run_id)
    earlier = _earlier(index, history)
    runs = {seen.run_id: index.load(seen.run_id) for seen in earlier.values()}
    return summarise(history, earlier, runs)


def _earlier(index: Index, history: RunHistory) -> dict[str, Earlier]:
    """Return who made the files that this run reused."""
    earlier = {}
    for job in outcomes(history):
        if job.result is not Result.REUSED:
            continue
        for file in job.files:
            if file.digest is None:
                continue
            made = maker(index.makers(file.path), file.digest, history.run.started)
            if made is not None and made.step.origin is not Origin.REUSED:
                step = made.step
                earlier[file.path] = Earlier(
                    run_id=step.run_id, job_id=step.id, at=step.finished or step.at
                )
    return earlier
