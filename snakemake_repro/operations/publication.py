"""A run with everything that its publication tells of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from snakemake_repro.backends.index import Index
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.activities import Activity, activities
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.operations.earlier import earlier_makers


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """A run and what was done for its results.

    Attributes:
        runs: The earlier runs whose results it reused.
    """

    history: RunHistory
    runs: Mapping[str, RunHistory]
    activities: tuple[Activity, ...]

    @property
    def histories(self) -> tuple[RunHistory, ...]:
        """All of the runs, oldest first."""
        runs = {**self.runs, self.history.run.id: self.history}
        return tuple(sorted(runs.values(), key=lambda one: (one.run.started, one.run.id)))


def publication(index: Index, run_id: str) -> Publication:
    """Return a run ready to be published.

    Raises:
        NotFoundError: It is not on record.
        RecordError: A record that it takes cannot be read.
    """
    history = index.load(run_id)
    earlier, runs = earlier_makers(index, history)
    return Publication(history=history, runs=runs, activities=activities(history, earlier, runs))


def unwritable(out: Path, exc: OSError) -> StorageError:
    """Return the error for a place that cannot be written to."""
    return StorageError(
        f"cannot write {out}: {exc.strerror}",
        hint="Name a directory that is there and that you may write to.",
    )
