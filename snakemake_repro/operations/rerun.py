"""Run a recorded run again, elsewhere, and compare."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from snakemake_repro.backends.index import Index, open_index
from snakemake_repro.backends.journal import journal_root
from snakemake_repro.backends.snakemake_command import run_snakemake
from snakemake_repro.errors import ExecutionError, TrackingError
from snakemake_repro.logic.comparison import Comparison
from snakemake_repro.logic.comparison_builder import Compared, compare
from snakemake_repro.logic.repeats import REPEAT_OF, arguments_of, needed
from snakemake_repro.operations.compare import compared
from snakemake_repro.operations.judge import Judge
from snakemake_repro.operations.scratch import Scratch, make_scratch, missing
from snakemake_repro.operations.sync import resolve_tracking_uri, sync

_DELIVERY_WAIT_S = 30.0


def rerun(
    index: Index,
    run_id: str,
    workdir: Path,
    target: Path,
    extra: Sequence[str] = (),
    *,
    repository: Path | None = None,
) -> Comparison:
    """Run a run again from its commit, and compare every result.

    The originals are read and never written. The repeat has a record of its own in ``target``, and
    goes to MLflow beside the run.

    Args:
        index: The record.
        run_id: The run.
        workdir: Its working directory.
        target: A directory that is not there yet.
        extra: More arguments of Snakemake's command line.
        repository: Where its commit is, if not in ``workdir``, as for a crate.

    Raises:
        UsageError: The run cannot be repeated from its record.
        NotFoundError: Its commit or one of the files that it read is not there.
        ExecutionError: Snakemake ended before it began.
    """
    old = compared(index, run_id)
    arguments = arguments_of(old.history.run)
    scratch = make_scratch(old.history.run, old.made, workdir, target, repository=repository)
    absent = scratch.place(needed(old.history, old.made))
    if absent:
        raise missing(absent)
    new = repeat(scratch, run_id, (*arguments, *extra))
    return compare(old, new, Judge(old=workdir, new=scratch.root))


def repeat(
    scratch: Scratch,
    run_id: str,
    arguments: Sequence[str],
    *,
    variables: Mapping[str, str | None] | None = None,
    through: Sequence[str] = (),
) -> Compared:
    """Run Snakemake where a run is to be repeated; return what is on record of it.

    Args:
        scratch: The place.
        run_id: The run.
        arguments: Of Snakemake's command line.
        variables: Beside our own; ``None`` for those of ours that it is not to have.
        through: A program that starts Snakemake, with its arguments.

    Raises:
        ExecutionError: Snakemake ended before it began.
    """
    uri = resolve_tracking_uri(None, os.environ, scratch.home)
    wanted = {REPEAT_OF: run_id, "MLFLOW_TRACKING_URI": uri, **(variables or {})}
    status = run_snakemake(arguments, scratch.root, wanted, through)
    if journal_root(scratch.root).is_dir():
        with contextlib.suppress(TrackingError):  # MLflow is not what is compared
            sync(scratch.root, wait=_DELIVERY_WAIT_S)
        index = open_index(scratch.root)
        run_ids = index.run_ids()
        if run_ids:
            return compared(index, run_ids[-1])
    raise ExecutionError(
        f"Snakemake ended with status {status} before any job ran",
        hint="See what it said above; more arguments for it follow after `--`.",
    )
