"""Report where a run's results come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snakemake_repro.backends.index import Index
from snakemake_repro.backends.wholefiles import write_whole
from snakemake_repro.logic.atlas import Atlas
from snakemake_repro.logic.atlas_builder import chart
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.made import Earlier
from snakemake_repro.logic.summary import RunSummary
from snakemake_repro.logic.summary_builder import summarise
from snakemake_repro.operations.earlier import earlier_makers, makers_elsewhere

_Told = tuple[RunHistory, Mapping[str, Earlier], Mapping[str, RunHistory]]
"""A run, who made what it reuses, and the runs that did."""


def report(index: Index, run_id: str) -> RunSummary:
    """Return the summary of a run, with old results told from new ones.

    Raises:
        NotFoundError: There is no such run.
        RecordError: The record of the run, or of one whose results it reuses, cannot be read.
    """
    return summarise(*_told(index, run_id))


def report_with_atlas(index: Index, run_id: str) -> tuple[RunSummary, Atlas]:
    """Return the summary of a run, and every job and file of it.

    Raises:
        NotFoundError: There is no such run.
        RecordError: The record of the run, or of one whose results it reuses, cannot be read.
    """
    told = _told(index, run_id)
    return summarise(*told), chart(*told, makers_elsewhere(index, told[0]))


def write_page(path: Path, text: str) -> None:
    """Write a report that is a file of its own.

    Raises:
        StorageError: It cannot be written.
    """
    write_whole(path, text, "the report")


def _told(index: Index, run_id: str) -> _Told:
    history = index.load(run_id)
    return (history, *earlier_makers(index, history))
