"""Attempts that were under way when snakemake was killed get a line, unless they have one."""

from __future__ import annotations

import json
from pathlib import Path

from recordings import Recording

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.operations.unfinished import record_orphans
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec, JobState, JobStatus, Tier
from snakemake_repro.records.tasks import Command, Member, Task


def _payload(run: Recording, attempt: str, *, record: bool = True) -> bytes:
    [ended] = [job.record for job in JournalStore(run.root).load(run.id).jobs]
    task = Task(
        id=attempt,
        run_id=run.id,
        workdir=str(run.root),
        log="a.log",
        tier=Tier.DIRECT,
        command=Command(kind="shell"),
        members=(Member(id=attempt, jobid=4, spec=ended.spec),),
        environment=EnvironmentSpec(kind=EnvironmentKind.HOST, name="host"),
        record=record,
    )
    return json.dumps(task.to_dict()).encode()


def test_an_attempt_without_a_line_is_recorded_as_interrupted(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    finished = run.job("a", writes={"a.txt": "a"})
    run.close()
    payloads = [_payload(run, finished), _payload(run, "cut"), _payload(run, "off", record=False)]
    record_orphans(payloads)
    jobs = {job.record.id: job for job in JournalStore(tmp_path).load(run.id).jobs}
    assert set(jobs) == {finished, "cut"}
    assert jobs[finished].state is JobState.ACCEPTED
    assert jobs["cut"].state is JobState.INTERRUPTED
    assert jobs["cut"].record.status is JobStatus.INTERRUPTED
    assert jobs["cut"].record.error == "snakemake was killed"
