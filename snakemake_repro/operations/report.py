"""Report where a run's results come from."""

from __future__ import annotations

from snakemake_repro.backends.index import Index
from snakemake_repro.logic.summary import RunSummary
from snakemake_repro.logic.summary_builder import summarise
from snakemake_repro.operations.earlier import earlier_makers


def report(index: Index, run_id: str) -> RunSummary:
    """Return the summary of a run, with old results told from new ones.

    Raises:
        NotFoundError: There is no such run.
        RecordError: The record of the run, or of one whose results it reuses, cannot be read.
    """
    history = index.load(run_id)
    earlier, runs = earlier_makers(index, history)
    return summarise(history, earlier, runs)
