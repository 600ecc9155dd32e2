"""Show a run as it is recorded."""

from __future__ import annotations

import dataclasses

from snakemake_repro.backends.index import Index
from snakemake_repro.errors import NotFoundError
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.outcomes import is_called
from snakemake_repro.records import MIN_PREFIX, GitState


def show(index: Index, run_id: str, job: str | None = None) -> RunHistory:
    """Return the record of a run, of all attempts or of some.

    Args:
        index: The record.
        run_id: The run.
        job: A rule, a rule with its wildcards, or the beginning of an attempt's id.

    Raises:
        NotFoundError: There is no such run, or no such job in it.
        RecordError: It cannot be read.
    """
    history = index.load(run_id)
    if job is None:
        return history
    found = tuple(one for one in history.jobs if is_called(one, job))
    if not found:
        raise NotFoundError(
            f"no job {job!r} in run {run_id[:MIN_PREFIX]}",
            hint="`repro show` without --job lists the jobs of a run.",
        )
    return dataclasses.replace(history, jobs=found)


def stored_diff(history: RunHistory) -> str:
    """Return what differed from the commit when a run began; empty if nothing did.

    Raises:
        NotFoundError: It differed, and the difference was not kept.
    """
    states = [source.git for source in history.run.sources if source.git is not None]
    lost = [state for state in states if state.dirty and state.diff is None]
    if lost:
        raise NotFoundError(
            f"the uncommitted changes of run {history.run.id[:MIN_PREFIX]} were not kept: "
            f"{_why(lost[0])}",
        )
    return "".join(state.diff or "" for state in states)


def _why(state: GitState) -> str:
    return state.note or f"they were too long (digest {state.diff_digest})"
