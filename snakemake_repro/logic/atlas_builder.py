"""From the history of a run to its atlas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from snakemake_repro.logic.atlas import Atlas, FilePlace, JobPlace, RunPlace, Try
from snakemake_repro.logic.history import JobHistory, RunHistory
from snakemake_repro.logic.lineage import Step
from snakemake_repro.logic.made import Age, Earlier, Made, makers_of
from snakemake_repro.logic.outcomes import JobOutcome, outcomes
from snakemake_repro.logic.summary_builder import seconds
from snakemake_repro.records import (
    Digest,
    EnvironmentRecord,
    FileRecord,
    JobStatus,
)


def chart(
    history: RunHistory,
    earlier: Mapping[str, Earlier],
    runs: Mapping[str, RunHistory],
    elsewhere: Mapping[tuple[str, Digest], Step],
) -> Atlas:
    """Return the atlas of a run.

    Args:
        history: The run.
        earlier: For paths that this run reused, who made them.
        runs: The earlier runs named there.
        elsewhere: For files that the run read and did not make, which attempt of another run did.
    """
    jobs = outcomes(history)
    made = {item.job.last.record.id: item for item in makers_of(history, jobs, earlier, runs)}
    work = [made.get(job.last.record.id) or _unmade(history, job) for job in jobs]
    histories = {history.run.id: history, **runs}
    run_numbers = {run_id: number for number, run_id in enumerate(histories)}
    rules = {rule: number for number, rule in enumerate(dict.fromkeys(job.rule for job in jobs))}
    environments = {
        item.environment.digest: item.environment for item in work if item.environment is not None
    }
    environment_numbers = {digest: number for number, digest in enumerate(environments)}
    files = _Files(jobs)
    return Atlas(
        runs=tuple(map(_run, histories.values())),
        rules=tuple(rules),
        environments=tuple(environments.values()),
        jobs=tuple(
            _job(
                item,
                start=history.run.started,
                rule=rules[item.job.rule],
                run=None if item.age is Age.UNRECORDED else run_numbers[item.run_id],
                environment=_number(item.environment, environment_numbers),
                files=files,
            )
            for item in work
        ),
        files=files.places(elsewhere),
    )


def _unmade(history: RunHistory, job: JobOutcome) -> Made:
    """Return a job whose results do not stand like one that made them."""
    record = job.last.record
    environment = history.environment(record.spec.environment)
    return Made(job=job, record=record, environment=environment, history=history, age=Age.NEW)


def _run(history: RunHistory) -> RunPlace:
    run = history.run
    git = run.git
    return RunPlace(
        id=run.id,
        started=run.started,
        commit=None if git is None else git.commit,
        dirty=git is not None and git.dirty,
        url=None if git is None else git.url,
    )


def _number(record: EnvironmentRecord | None, numbers: Mapping[Digest, int]) -> int | None:
    return None if record is None else numbers[record.digest]


def _job(
    item: Made,
    *,
    start: str,
    rule: int,
    run: int | None,
    environment: int | None,
    files: _Files,
) -> JobPlace:
    job, record = item.job, item.record
    spec, use = record.spec, record.use
    host = None if record.host is None else item.history.hosts.get(record.host)
    return JobPlace(
        id=record.id,
        rule=rule,
        wildcards=spec.wildcards,
        result=job.result,
        attempts=len(job.attempts),
        kind=spec.kind,
        source_name=spec.source_name,
        command=spec.command,
        params=spec.named_params,
        seeds=record.seeds,
        key=record.key,
        run=run,
        environment=environment,
        host=None if host is None else host.name,
        started=record.started,
        wall_s=None if use is None else use.wall_s,
        cpu_s=None if use is None else use.cpu_s,
        max_rss_mb=None if use is None else use.max_rss_mb,
        error=None if job.done else record.error or job.last.reason,
        log=None if record.log is None else record.log.path,
        remarks=(*record.integrity, *record.violations),
        tries=tuple(_tries(start, job.attempts)),
        metrics=record.metrics,
        inputs=files.numbers(job.last.record.spec.inputs),
        outputs=files.numbers(job.files),
    )


def _tries(start: str, attempts: Iterable[JobHistory]) -> Iterator[Try]:
    for attempt in attempts:
        record = attempt.record
        begun = None if record.started is None else seconds(start, record.started)
        if begun is None:
            continue
        ended = None if record.finished is None else seconds(start, record.finished)
        if record.use is not None:
            ended = begun + record.use.wall_s
        if ended is not None:
            succeeded = record.status is JobStatus.SUCCEEDED
            yield Try(start=begun, end=max(begun, ended), succeeded=succeeded)


class _Files:
    """The files of a run by path and bytes, those that were written first."""

    def __init__(self, jobs: Sequence[JobOutcome]) -> None:
        self._records: list[FileRecord] = []
        self._known: dict[tuple[str, Digest | None], int] = {}
        self._standing: dict[str, int] = {}
        self._makers: dict[int, int] = {}
        self._removed: set[int] = set()
        for number, job in enumerate(jobs):
            for file in job.files:
                written = self._add(file)
                self._standing[file.path] = written
                self._makers[written] = number
                if file.path in job.last.removed:
                    self._removed.add(written)
        read = (file for job in jobs for file in job.last.record.spec.inputs)
        for file in sorted(read, key=lambda file: file.path):
            if self._find(file) is None:
                self._add(file)

    def numbers(self, files: Iterable[FileRecord]) -> tuple[int, ...]:
        """Return the numbers of files, each once."""
        found = (self._find(file) for file in files)
        return tuple(dict.fromkeys(number for number in found if number is not None))

    def places(self, elsewhere: Mapping[tuple[str, Digest], Step]) -> tuple[FilePlace, ...]:
        """Return all of them."""
        return tuple(
            FilePlace(
                path=file.path,
                digest=file.digest,
                size=file.size,
                kind=file.kind,
                maker=self._makers.get(number),
                elsewhere=None
                if file.digest is None or number in self._makers
                else elsewhere.get((file.path, file.digest)),
                altered=number not in self._makers and file.path in self._standing,
                removed=number in self._removed,
            )
            for number, file in enumerate(self._records)
        )

    def _add(self, file: FileRecord) -> int:
        number = self._known.setdefault((file.path, file.digest), len(self._records))
        if number == len(self._records):
            self._records.append(file)
        return number

    def _find(self, file: FileRecord) -> int | None:
        """Return the number of a file; one without a digest is the one that a job wrote there."""
        if file.digest is None and file.path in self._standing:
            return self._standing[file.path]
        return self._known.get((file.path, file.digest))
