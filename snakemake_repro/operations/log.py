"""List the runs of a record."""

from __future__ import annotations

from collections.abc import Sequence

from snakemake_repro.backends.index import Index
from snakemake_repro.logic.overview import RunLine


def log(index: Index, limit: int | None = None) -> Sequence[RunLine]:
    """Return one line per run, newest first.

    Args:
        index: The record.
        limit: How many at most.
    """
    newest = index.run_ids()[::-1]
    return index.run_lines(newest if limit is None else newest[:limit])
