"""Execute jobs again from their record, and compare every output."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from snakemake_repro.backends.index import Index
from snakemake_repro.errors import ExecutionError, NotFoundError
from snakemake_repro.logic.made import Made
from snakemake_repro.logic.outcomes import outcomes
from snakemake_repro.logic.rebuilds import (
    Rebuild,
    Rebuilt,
    RebuiltJob,
    judged,
    obstacle,
    target_of,
)
from snakemake_repro.logic.repeats import arguments_of, locks, untargeted
from snakemake_repro.logic.variations import Variation, Variations
from snakemake_repro.operations.access import find_files, find_run
from snakemake_repro.operations.circumstances import AS_BEFORE, Circumstances
from snakemake_repro.operations.compare import compared
from snakemake_repro.operations.judge import Judge
from snakemake_repro.operations.rerun import repeat
from snakemake_repro.operations.scratch import make_scratch, missing, scratch_place

Progress = Callable[[str, int], None]
"""Called with a rule and the number of its jobs before they are executed."""


def rebuild(
    index: Index,
    run_id: str,
    workdir: Path,
    target: str | None = None,
    *,
    sample: int | None = None,
    progress: Progress = lambda _rule, _count: None,
) -> Rebuild:
    """Execute jobs of a run again, each from the very inputs that it read.

    The jobs of one rule are executed by one Snakemake in a checkout of the commit that made them;
    nothing of the working directory is written to.

    Args:
        index: The record.
        run_id: The run.
        workdir: Its working directory, where its files still are.
        target: A file, a rule, or a rule with its wildcards; ``None`` for all jobs.
        sample: Only that many jobs, chosen at random.
        progress: Told what comes next.

    Raises:
        NotFoundError: No job of the run is meant.
        UsageError: A run cannot be repeated from its record.
        StorageError: A commit cannot be checked out.
    """
    of, chosen = _chosen(index, run_id, target, sample)
    jobs = _executed(chosen, workdir, AS_BEFORE, progress)
    return Rebuild(run_id=run_id, of=of, jobs=jobs)


def vary(
    index: Index,
    run_id: str,
    workdir: Path,
    target: str | None = None,
    *,
    sample: int | None = None,
    variations: Sequence[Variation],
    progress: Progress = lambda _rule, _count: None,
) -> Variations:
    """Execute jobs of a run again with one thing varied at a time, to see what decides a result.

    They run on this machine, on clusters of their own.

    Args:
        index: The record.
        run_id: The run.
        workdir: Its working directory, where its files still are.
        target: As for ``rebuild``.
        sample: Likewise.
        variations: What is varied.
        progress: Told what comes next.

    Raises:
        NotFoundError: No job of the run is meant.
        UsageError: A run cannot be repeated from its record.
        StorageError: A commit cannot be checked out.
        IsolationError: Another name of the machine needs bubblewrap, which is not there.
    """
    of, chosen = _chosen(index, run_id, target, sample)

    def rebuilt(circumstances: Circumstances) -> Rebuild:
        jobs = _executed(chosen, workdir, circumstances, progress)
        return Rebuild(run_id=run_id, of=of, jobs=jobs)

    return Variations(
        base=rebuilt(Circumstances(alone=True)),
        varied={one: rebuilt(Circumstances(alone=True, variation=one)) for one in variations},
    )


def _chosen(
    index: Index, run_id: str, target: str | None, sample: int | None
) -> tuple[int, list[Made]]:
    """Return how many jobs there are to choose from, and those that are chosen."""
    made = [item for item in compared(index, run_id).made if item.record.spec.outputs]
    chosen = [item for item in made if target is None or _is(item, target)]
    if not chosen:
        raise NotFoundError(
            f"no job {target!r} in run {run_id[:8]}" if target else f"run {run_id[:8]} has no job",
            hint="`repro show` lists the jobs of a run.",
        )
    if sample is not None and sample < len(chosen):
        picked = set(random.SystemRandom().sample(range(len(chosen)), sample))
        chosen = [item for number, item in enumerate(chosen) if number in picked]
    return len(made), chosen


def _executed(
    chosen: Sequence[Made],
    workdir: Path,
    circumstances: Circumstances,
    progress: Progress,
) -> tuple[RebuiltJob, ...]:
    groups: dict[tuple[str, str], list[Made]] = {}
    for item in chosen:
        groups.setdefault((item.run_id, item.job.rule), []).append(item)
    jobs: list[RebuiltJob] = []
    for (_, rule), items in groups.items():
        progress(rule, len(items))
        jobs += _rebuilt(items, workdir, circumstances)
    return tuple(jobs)


def what_to_rebuild(index: Index, name: str | None, workdir: Path) -> tuple[str, str | None]:
    """Return the run and the target that a user means.

    Args:
        index: The record.
        name: A run, a file (then the job that made it), or a job of the latest run.
        workdir: Paths are relative to it.

    Raises:
        NotFoundError: The record holds no run.
        UsageError: The name is ambiguous.
    """
    if name is None:
        return find_run(index, "latest", workdir), None
    try:
        run_id = find_run(index, name, workdir)
    except NotFoundError:
        return find_run(index, "latest", workdir), name
    try:
        files = find_files(index, name, workdir)
    except NotFoundError:
        return run_id, None
    return run_id, files[0].path


def _is(item: Made, target: str) -> bool:
    return target in (item.job.rule, item.job.label) or any(
        file.path == target for file in item.job.files
    )


def _rebuilt(
    items: Sequence[Made], workdir: Path, circumstances: Circumstances
) -> Iterator[RebuiltJob]:
    """Execute jobs of one rule and one run."""
    history = items[0].history
    run = history.run
    arguments = untargeted(arguments_of(run), run.targets)
    if circumstances.obstacle is not None:
        yield from (_not_tried(item, circumstances.obstacle) for item in items)
        return
    backwards = circumstances.backwards
    ready = []
    with scratch_place(workdir.name, parent=circumstances.parent) as place:
        scratch = make_scratch(run, items, workdir, place)
        scratch.place(locks(history))
        for item in items[::-1] if backwards else items:
            why = obstacle(item)
            inputs = item.record.spec.inputs
            if why is None and (absent := scratch.place(inputs, backwards=backwards)):
                why = missing(absent).message
            if why is not None:
                yield _not_tried(item, why)
            else:
                ready.append(item)
        if not ready:
            return
        targets = ("--target-jobs", *map(target_of, ready), "--allowed-rules", ready[0].job.rule)
        try:
            new = repeat(
                scratch,
                run.id,
                circumstances.arguments((*arguments, "--forceall", *targets), ready),
                variables=circumstances.variables,
                through=circumstances.through,
            )
        except ExecutionError as exc:
            yield from (_not_tried(item, exc.message) for item in ready)
            return
        repeated = {item.job.label: item for item in new.made}
        came = {job.label: job for job in outcomes(new.history)}
        judge = Judge(old=workdir, new=scratch.root)
        for item in ready:
            label = item.job.label
            yield judged(item, repeated.get(label), came.get(label), judge)


def _not_tried(item: Made, why: str) -> RebuiltJob:
    return RebuiltJob(job=item.job.label, run_id=item.run_id, came=Rebuilt.NOT_TRIED, note=why)
