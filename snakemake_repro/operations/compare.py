"""Compare two runs."""

from __future__ import annotations

from snakemake_repro.backends.index import Index
from snakemake_repro.logic.comparison import Comparison
from snakemake_repro.logic.comparison_builder import Compared, compare
from snakemake_repro.logic.made import makers_of
from snakemake_repro.logic.outcomes import outcomes
from snakemake_repro.operations.earlier import earlier_makers


def compare_runs(index: Index, old: str, new: str) -> Comparison:
    """Return how two runs differ, given by their ids.

    Raises:
        NotFoundError: One of them is not on record.
        RecordError: A record that it takes cannot be read.
    """
    return compare(compared(index, old), compared(index, new))


def compared(index: Index, run_id: str) -> Compared:
    """Return a run ready to be compared.

    Raises:
        NotFoundError: It is not on record.
        RecordError: A record that it takes cannot be read.
    """
    history = index.load(run_id)
    earlier, runs = earlier_makers(index, history)
    return Compared(history=history, made=makers_of(history, outcomes(history), earlier, runs))
