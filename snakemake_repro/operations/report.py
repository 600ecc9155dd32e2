"""Report where a run's results come from."""

from __future__ import annotations

import hashlib
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
from snakemake_repro.records import FileKind

_LARGEST = 2 * 1024 * 1024
"""Bytes of a page that goes into the report; it is mailed around."""
_MOST = 5
"""Pages that do."""

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


def pages_of(summary: RunSummary, workdir: Path) -> dict[str, str]:
    """Return the content of results that are HTML pages, by their paths, the first few of them.

    Only what is still byte for byte what the run made, and not large.
    """
    found: dict[str, str] = {}
    for file in sorted(summary.outputs, key=lambda file: file.path):
        a_page = file.final and not file.removed and file.kind is FileKind.FILE
        if not a_page or not file.path.endswith(".html") or len(found) == _MOST:
            continue
        if file.digest is None or file.size is None or file.size > _LARGEST:
            continue
        try:
            content = (workdir / file.path).read_bytes()
            text = content.decode()
        except (OSError, UnicodeDecodeError):
            continue
        if hashlib.sha256(content).hexdigest() == file.digest.value:
            found[file.path] = text
    return found


def write_page(path: Path, text: str) -> None:
    """Write a report that is a file of its own.

    Raises:
        StorageError: It cannot be written.
    """
    write_whole(path, text, "the report")


def _told(index: Index, run_id: str) -> _Told:
    history = index.load(run_id)
    return (history, *earlier_makers(index, history))
