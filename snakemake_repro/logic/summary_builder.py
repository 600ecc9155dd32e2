"""From the history of a run to its summary."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from snakemake_repro.logic.checks import debts
from snakemake_repro.logic.debts import Debt
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.made import Age, Earlier, Made, last_metrics, makers_of
from snakemake_repro.logic.outcomes import JobOutcome, Result, outcomes
from snakemake_repro.logic.summary import (
    EnvironmentUse,
    Failure,
    InputFile,
    JobCounts,
    MetricValue,
    OutputFile,
    RuleSummary,
    RunSummary,
    Tolerance,
    Verdict,
)
from snakemake_repro.records import (
    Digest,
    EnvironmentRecord,
    FileRecord,
)


def summarise(
    history: RunHistory,
    earlier: Mapping[str, Earlier],
    runs: Mapping[str, RunHistory],
) -> RunSummary:
    """Return the summary of a run.

    Args:
        history: The run.
        earlier: For paths that this run reused, who made them.
        runs: The earlier runs named there.
    """
    run = history.run
    jobs = outcomes(history)
    made = makers_of(history, jobs, earlier, runs)
    return RunSummary(
        run_id=run.id,
        name=run.name,
        verdict=_verdict(history),
        started=run.started,
        finished=None if history.end is None else history.end.finished,
        duration_s=None if history.end is None else seconds(run.started, history.end.finished),
        user=run.user,
        host=None if run.host is None else history.hosts.get(run.host),
        command=run.command,
        executor=run.executor,
        snakefile=run.snakefile,
        targets=run.targets,
        versions=run.versions,
        experiment=run.experiment,
        tracking_uri=run.tracking_uri,
        sources=run.sources,
        planned=run.job_count,
        jobs=count(jobs),
        failures=tuple(_failures(jobs)),
        rules=tuple(_rules(jobs)),
        environments=tuple(_environments(made)),
        inputs=tuple(_inputs(jobs)),
        outputs=tuple(_outputs(jobs, made, earlier)),
        metrics=tuple(_metrics(made)),
        tolerances=tuple(_tolerances(made)),
        debts=(*debts(history, jobs), *_inherited(earlier, runs)),
    )


def _inherited(earlier: Mapping[str, Earlier], runs: Mapping[str, RunHistory]) -> Iterator[Debt]:
    """Yield the debts that reused results bring along from the runs that made them."""
    for run_id, run in runs.items():
        used = {seen.job_id for seen in earlier.values() if seen.run_id == run_id}
        jobs = [job for job in outcomes(run) if job.last.record.id in used]
        for debt in debts(run, jobs):
            yield dataclasses.replace(debt, run_id=run_id)


def count(jobs: Iterable[JobOutcome]) -> JobCounts:
    """Count jobs by how they came out."""
    jobs = tuple(jobs)
    results = Counter(job.result for job in jobs)
    return JobCounts(
        total=len(jobs),
        retried=sum(job.retried for job in jobs),
        resubmitted=sum(job.resubmitted for job in jobs),
        **{result.value: results[result] for result in Result},
    )


def seconds(start: str, end: str) -> float | None:
    """Return the time between two moments, ``None`` where one is not ISO 8601."""
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


def _verdict(history: RunHistory) -> Verdict:
    if history.end is None:
        return Verdict.UNFINISHED
    known = {verdict.value: verdict for verdict in Verdict}
    return known.get(history.end.status, Verdict.FAILED)


def _failures(jobs: Iterable[JobOutcome]) -> Iterator[Failure]:
    for job in jobs:
        if job.done:
            continue
        record = job.last.record
        yield Failure(
            job=job.label,
            result=job.result,
            job_id=record.id,
            attempts=len(job.attempts),
            error=record.error or job.last.reason,
            exit_code=record.exit_code,
            log=None if record.log is None else record.log.path,
        )


def _rules(jobs: Iterable[JobOutcome]) -> Iterator[RuleSummary]:
    by_rule: dict[str, list[JobOutcome]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job)
    for rule, members in by_rule.items():
        uses = [
            attempt.record.use
            for job in members
            for attempt in job.attempts
            if attempt.record.use is not None
        ]
        cpu = [use.cpu_s for use in uses if use.cpu_s is not None]
        peaks = [use.max_rss_mb for use in uses if use.max_rss_mb is not None]
        yield RuleSummary(
            rule=rule,
            jobs=count(members),
            wall_s=sum(use.wall_s for use in uses) if uses else None,
            cpu_s=sum(cpu) if cpu else None,
            max_rss_mb=max(peaks, default=None),
        )


def _environments(made: Iterable[Made]) -> Iterator[EnvironmentUse]:
    records: dict[Digest, EnvironmentRecord | None] = {}
    used: Counter[Digest] = Counter()
    for item in made:
        digest = item.record.spec.environment
        if digest is not None:
            used[digest] += 1
            records[digest] = item.environment
    for digest, number in sorted(used.items(), key=lambda item: (-item[1], str(item[0]))):
        record = records[digest]
        yield EnvironmentUse(
            digest=digest,
            name="not recorded" if record is None else record.name,
            kind=None if record is None else record.kind,
            pinned=None if record is None else record.pinned,
            platform=None if record is None else record.platform,
            python=None if record is None else record.python,
            packages=0 if record is None else len(record.packages),
            jobs=number,
        )


def _inputs(jobs: Sequence[JobOutcome]) -> Iterator[InputFile]:
    made = {file.path for job in jobs for file in job.last.record.spec.outputs}
    made |= {file.path for job in jobs for file in job.last.record.outputs}
    rules: dict[str, dict[str, None]] = {}
    files: dict[str, FileRecord] = {}
    for job in jobs:
        for file in job.last.record.spec.inputs:
            if file.path not in made:
                files[file.path] = file
                rules.setdefault(file.path, {})[job.rule] = None
    for path, file in sorted(files.items()):
        yield InputFile(
            path=path,
            digest=file.digest,
            size=file.size,
            kind=file.kind,
            rules=tuple(rules[path]),
        )


def _outputs(
    jobs: Iterable[JobOutcome], made: Iterable[Made], earlier: Mapping[str, Earlier]
) -> Iterator[OutputFile]:
    read = {file.path for job in jobs for file in job.last.record.spec.inputs}
    for item in made:
        for file in item.job.files:
            age, run_id, at = _age(item, earlier.get(file.path))
            yield OutputFile(
                path=file.path,
                digest=file.digest,
                size=file.size,
                kind=file.kind,
                final=file.path not in read,
                removed=file.path in item.job.last.removed,
                rule=item.job.rule,
                job=item.job.label,
                job_id=item.record.id,
                environment=None if item.environment is None else item.environment.name,
                environment_digest=item.record.spec.environment,
                age=age,
                run_id=run_id,
                made=at,
            )


def _age(item: Made, seen: Earlier | None) -> tuple[Age, str | None, str | None]:
    """Return whether a file of a job is new, and which run made it when."""
    if item.job.result is not Result.REUSED:
        return Age.NEW, item.run_id, item.record.finished
    if seen is None:
        return Age.UNRECORDED, None, None
    return Age.REUSED, seen.run_id, seen.at


def _tolerances(made: Iterable[Made]) -> Iterator[Tolerance]:
    found = Counter(
        (item.job.rule, str(file.comparator), file.comparator.cause)
        for item in made
        for file in item.record.spec.outputs
        if file.comparator is not None
    )
    for (rule, comparator, cause), files in found.items():
        yield Tolerance(rule=rule, comparator=comparator, cause=cause, files=files)


def _metrics(made: Iterable[Made]) -> Iterator[MetricValue]:
    for item in made:
        for metric, steps in last_metrics(item.record.metrics):
            yield MetricValue(
                rule=item.job.rule,
                job=item.job.label,
                job_id=item.record.id,
                run_id=item.run_id,
                age=item.age,
                name=metric.name,
                value=metric.value,
                step=metric.step,
                steps=steps,
            )
