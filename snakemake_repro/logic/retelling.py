"""A run retold: the commands that repeat it, and the paragraph for a paper."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath

from snakemake_repro.logic.summary import EnvironmentUse, JobCounts, RunSummary
from snakemake_repro.records import MIN_PREFIX, EnvironmentKind

_DATE = 10
"""Characters of the date in a moment."""
_FEW_ENVIRONMENTS = 6


def rerun_line(summary: RunSummary) -> str:
    """Return the commands, in one line of shell, that repeat a run from its commit."""
    return " && ".join(_commands(summary))


def methods(summary: RunSummary) -> str:
    """Return what a paper's section on methods may say of a run."""
    return " ".join(_sentences(summary))


def as_typed(command: Sequence[str]) -> str:
    """Return a command as a user types it, wherever the program lay."""
    return shlex.join(("snakemake", *command[1:]))


def _commands(summary: RunSummary) -> Iterator[str]:
    git = summary.sources[0].git if summary.sources else None
    if git is not None and git.commit is not None:
        yield f"git checkout {git.commit}"
        if git.dirty and git.diff is not None:
            yield f"repro show {summary.run_id[:MIN_PREFIX]} --diff | git apply"
    yield as_typed(summary.command)


def _sentences(summary: RunSummary) -> Iterator[str]:
    name = f"The workflow {summary.name}{_code(summary)}"
    yield f"{name} was run on {summary.started[:_DATE]}{_with(summary)}."
    yield _jobs(summary.jobs)
    if summary.environments:
        yield _environments(summary.environments)
    if summary.inputs:
        count = len(summary.inputs)
        files = "1 file" if count == 1 else f"{count:,} files"
        yield f"It started from {files} that no job made."
    yield (
        "Every input and output was identified by its SHA-256, which the record of the run "
        f"({summary.run_id}) holds with parameters, seeds, environments and hosts."
    )


def _code(summary: RunSummary) -> str:
    git = summary.sources[0].git if summary.sources else None
    if git is None or git.commit is None:
        return " (not under version control)"
    where = "" if git.url is None else f" of {git.url}"
    changed = ""
    if git.dirty:
        digest = "" if git.diff_digest is None else f", {git.diff_digest}"
        changed = f" with uncommitted changes{digest}"
    return f" (commit {git.commit}{where}{changed})"


def _with(summary: RunSummary) -> str:
    versions = summary.versions
    parts = []
    if "snakemake" in versions:
        parts.append(f" with Snakemake {versions['snakemake']}")
    if "snakemake-executor-plugin-ray" in versions:
        plugin = f"snakemake-executor-plugin-ray {versions['snakemake-executor-plugin-ray']}"
        on = f" on Ray {versions['ray']}" if "ray" in versions else ""
        parts.append(f" and {plugin}{on}")
    if summary.host is not None:
        parts.append(f", started from {summary.host.os} ({summary.host.machine})")
    return "".join(parts)


def _jobs(jobs: JobCounts) -> str:
    text = "It had 1 job" if jobs.total == 1 else f"It had {jobs.total:,} jobs"
    ran = jobs.executed + jobs.local
    parts = [f"{ran:,} {_was(ran)} executed"]
    if jobs.reused:
        parts.append(f"{jobs.reused:,} {_was(jobs.reused)} found up to date")
    if jobs.failed:
        parts.append(f"{jobs.failed:,} failed")
    if jobs.interrupted:
        parts.append(f"{jobs.interrupted:,} {_was(jobs.interrupted)} interrupted")
    if jobs.unconfirmed:
        parts.append(f"{jobs.unconfirmed:,} ended unconfirmed")
    return f"{text}, of which {_list(parts)}."


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _environments(used: Sequence[EnvironmentUse]) -> str:
    names = {one.name for one in used}
    shown = [_environment(one, names) for one in used[:_FEW_ENVIRONMENTS]]
    if len(used) > _FEW_ENVIRONMENTS:
        shown.append(f"{len(used) - _FEW_ENVIRONMENTS:,} more")
    return f"Jobs ran in {_list(shown)}."


def _environment(one: EnvironmentUse, names: Collection[str]) -> str:
    state = "pinned" if one.pinned else "not pinned"
    facts = [state, str(one.digest)]
    if one.python is not None:
        facts.insert(0, f"Python {one.python}")
    if one.kind is EnvironmentKind.HOST:
        return f"the host's own environment ({', '.join(facts)})"
    kind = "the container" if one.kind is EnvironmentKind.CONTAINER else "the environment"
    name = one.name if "://" in one.name else _shortest(one.name, names)
    return f"{kind} {name} ({', '.join(facts)})"


def _shortest(path: str, paths: Collection[str]) -> str:
    """Return as much of the end of a path as no other one ends with."""
    parts = PurePosixPath(path).parts
    others = [PurePosixPath(other).parts for other in paths if other != path]
    for count in range(1, len(parts)):
        if all(other[-count:] != parts[-count:] for other in others):
            return "/".join(parts[-count:])
    return path


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
