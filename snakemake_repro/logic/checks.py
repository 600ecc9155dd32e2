"""Reproducibility debts: what stands between a run and an exact repeat of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from snakemake_repro.logic.debts import Debt
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.outcomes import JobOutcome, Result
from snakemake_repro.records import (
    Digest,
    EnvironmentKind,
    EnvironmentRecord,
    FileKind,
    FileRecord,
)

_EXAMPLES = 3
_SEED_NAMES = ("seed", "random_state", "random_seed")


def debts(history: RunHistory, jobs: Sequence[JobOutcome]) -> tuple[Debt, ...]:
    """Return the debts of a run, the gravest first.

    Args:
        history: The run.
        jobs: Those of its outcomes that matter. Debts of reused results belong to the run that
            made them.
    """
    ran = [job for job in jobs if job.ran]
    return (
        *_sources(history),
        *_environments(history, ran),
        *_seeds(ran),
        *_files(ran),
        *_tolerances(ran),
        *_completeness(history, jobs),
    )


def _sources(history: RunHistory) -> Iterator[Debt]:
    git = history.run.git
    if git is None:
        yield Debt(
            code="not-under-git",
            message="the workflow's code is not under version control",
            remedy="Run `git init`, commit the workflow, and run it again.",
        )
        return
    if git.commit is None:
        yield Debt(
            code="no-commit",
            message="the workflow's repository has no commit",
            remedy="Commit the workflow, and run it again.",
        )
    elif git.dirty and git.note:
        yield Debt(
            code="dirty-tree",
            message=f"whether the work tree was clean is not known: {git.note}",
            remedy="Make the repository readable to whoever runs the workflow.",
        )
    elif git.dirty:
        kept = git.diff is not None
        what = "the difference is in the record" if kept else "only the difference's digest is kept"
        yield Debt(
            code="dirty-tree",
            message=f"the code differed from commit {git.commit[:12]}; {what}",
            remedy="Commit the changes, and run it again.",
        )
    for source in history.run.sources[1:]:
        if source.git is not None and source.git.dirty:
            yield Debt(
                code="dirty-tree",
                message=f"the code of {source.uri} differed from its commit",
                remedy="Commit the changes there, and run it again.",
            )


def _environments(history: RunHistory, ran: Sequence[JobOutcome]) -> Iterator[Debt]:
    loose: dict[tuple[str, str], list[JobOutcome]] = {}
    for job in ran:
        record = history.environment(job.last.record.spec.environment)
        if record is None or not record.pinned:
            loose.setdefault(_looseness(record), []).append(job)
    for (did, remedy), jobs in loose.items():
        yield _about(jobs, "unpinned-environment", did, remedy)


def _looseness(record: EnvironmentRecord | None) -> tuple[str, str]:
    """Return why an environment is not pinned, and what helps."""
    lock = "Give the rules a `conda:` file and lock it with `repro lock`."
    if record is None:
        return "ran in an environment that is not recorded", lock
    if record.kind is EnvironmentKind.HOST:
        return "ran with the host's own packages, not pinned", lock
    did = f"ran in {record.name}, which is not pinned"
    if record.kind is EnvironmentKind.CONTAINER:
        return did, "Push the image to a registry, and name it there in `container:`."
    if record.built:
        names = ", ".join(record.built)
        return (
            f"{did}: {names} built from source",
            f"Publish wheels of {names} on an index of yours, and lock again.",
        )
    return did, lock


def _seeds(ran: Sequence[JobOutcome]) -> Iterator[Debt]:
    unseeded = [job for job in ran if job.last.record.metrics and not _seeded(job)]
    if unseeded:
        yield _about(
            unseeded,
            "no-seed",
            "reported metrics, but no seed",
            "Name it in the rule (`params: seed=1`), or set it through `track(snakemake, seed=1)`; "
            "where nothing is drawn, any seed says so.",
        )


def _seeded(job: JobOutcome) -> bool:
    record = job.last.record
    if record.seeds:
        return True
    named = (pair[0] for pair in record.spec.params if isinstance(pair, list | tuple) and pair)
    names = {str(name) for name in (*named, *record.params_reported)}
    return any(name.lower().endswith(_SEED_NAMES) for name in names)


def _files(ran: Sequence[JobOutcome]) -> Iterator[Debt]:
    written: dict[str, set[Digest | None]] = {}
    for job in ran:
        for file in job.last.record.outputs:
            written.setdefault(file.path, set()).add(file.digest)

    def foreign(file: FileRecord) -> bool:
        known = written.get(file.path)
        return known is not None and None not in known and file.digest not in known

    changed = [
        job
        for job in ran
        if any(f.digest is not None and foreign(f) for f in job.last.record.spec.inputs)
    ]
    if changed:
        yield _about(
            changed,
            "foreign-bytes",
            "read files that were changed after the job that made them",
            "Find out what else writes to these files, and run it again.",
        )
    open_jobs = [job for job in ran if job.last.record.violations]
    if open_jobs:
        first = open_jobs[0].last.record
        yield _about(
            open_jobs,
            "undeclared",
            f"did what no rule declares, e.g. rule {first.spec.rule} {first.violations[0]}",
            "Declare it in the rule, and run it again with `--ray-hermetic enforce`.",
        )
    weak = [job for job in ran if job.last.record.integrity]
    if weak:
        yield _about(
            weak,
            "integrity",
            f"left a weakened record, e.g. {weak[0].last.record.integrity[0]}",
            "See the named jobs' logs; keep inputs unchanged while jobs run.",
        )


def _tolerances(ran: Sequence[JobOutcome]) -> Iterator[Debt]:
    unexplained: dict[str, list[JobOutcome]] = {}
    for job in ran:
        for comparator in {file.comparator for file in job.last.record.spec.outputs}:
            if comparator is not None and comparator.cause is None:
                unexplained.setdefault(str(comparator), []).append(job)
    for spelled, jobs in sorted(unexplained.items()):
        yield _about(
            jobs,
            "unexplained-tolerance",
            f"may come out again within {spelled} only, and it is not said why",
            'Say what makes the bytes differ: `compare(..., cause="...")`.',
        )


def _completeness(history: RunHistory, jobs: Sequence[JobOutcome]) -> Iterator[Debt]:
    for gap in history.run.completeness:
        yield Debt(
            code="incomplete-record",
            message=f"the record is incomplete: {gap}",
            remedy="Run the workflow with `snakemake --executor ray`.",
        )
    unjudged = [job for job in jobs if job.result is Result.UNCONFIRMED]
    if unjudged:
        yield _about(
            unjudged,
            "incomplete-record",
            "ended, but whether Snakemake accepted the outputs is not known",
            "Run the workflow again; what was accepted will be reused.",
        )
    blind = [job for job in jobs if job.ran and any(map(_unhashed, _all_files(job)))]
    if blind:
        yield _about(
            blind,
            "incomplete-record",
            "read or wrote files that were not hashed",
            "Keep these files where the nodes that run the jobs can read them.",
        )


def _all_files(job: JobOutcome) -> tuple[FileRecord, ...]:
    record = job.last.record
    return (*record.spec.inputs, *record.outputs)


def _unhashed(file: FileRecord) -> bool:
    kinds = (FileKind.FILE, FileKind.DIRECTORY, FileKind.UNOBSERVED)
    return file.digest is None and file.kind in kinds


def _about(jobs: Sequence[JobOutcome], code: str, did: str, remedy: str) -> Debt:
    count = "1 job" if len(jobs) == 1 else f"{len(jobs):,} jobs"
    examples = tuple(job.label for job in jobs[:_EXAMPLES])
    return Debt(
        code=code, message=f"{count} {did}", remedy=remedy, jobs=len(jobs), examples=examples
    )
