"""A run is folded from its entries, in whatever order they are read."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

from recordings import Recording

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.logic.history import fold, results, unfold
from snakemake_repro.records import (
    CodeSeen,
    CodeText,
    Digest,
    Entry,
    FileKind,
    FileRecord,
    JobAccepted,
    JobEnded,
    JobRecord,
    JobRejected,
    JobSpec,
    JobState,
    JobStatus,
    RunEnd,
    RunEnded,
    RunStarted,
    WorkflowRun,
)

RUN = WorkflowRun(id="r", name="n", started="0")
A, B = Digest("a" * 64), Digest("b" * 64)


def _job(
    job_id: str,
    *,
    started: str = "1",
    status: JobStatus = JobStatus.SUCCEEDED,
    outputs: tuple[FileRecord, ...] = (),
) -> JobEnded:
    spec = JobSpec(rule="x", kind="shell")
    record = JobRecord(
        id=job_id, run_id="r", spec=spec, started=started, status=status, outputs=outputs
    )
    return JobEnded(run_id="r", at=started, job=record)


START = RunStarted(run_id="r", at="0", run=RUN)


def test_the_text_of_code_is_found_by_its_digest() -> None:
    code = CodeText(digest=A, text="echo 1", name=None)
    history = fold([CodeSeen(run_id="r", at="1", code=code), START])
    assert history is not None
    assert history.codes == {str(A): code}


def test_the_order_of_entries_does_not_matter() -> None:
    entries: list[Entry] = [
        START,
        _job("a"),
        JobAccepted(run_id="r", at="2", job_id="a"),
        RunEnded(run_id="r", at="3", end=RunEnd(status="succeeded", finished="3")),
    ]
    folded = {repr(fold(order)) for order in itertools.permutations(entries)}
    assert len(folded) == 1


def test_without_a_beginning_there_is_no_run() -> None:
    assert fold([_job("a")]) is None


def test_a_job_without_a_verdict_only_ran() -> None:
    history = fold([START, _job("a")])
    assert history is not None
    assert [job.state for job in history.jobs] == [JobState.RAN]
    assert history.end is None


def test_verdicts_become_states() -> None:
    history = fold(
        [
            START,
            _job("a", started="1"),
            _job("b", started="2"),
            _job("c", started="3"),
            _job("d", started="4", status=JobStatus.INTERRUPTED),
            JobAccepted(run_id="r", at="", job_id="a"),
            JobRejected(run_id="r", at="", job_id="b", reason="missing"),
            JobRejected(run_id="r", at="", job_id="c", interrupted=True),
        ]
    )
    assert history is not None
    assert [job.state for job in history.jobs] == [
        JobState.ACCEPTED,
        JobState.REJECTED,
        JobState.INTERRUPTED,
        JobState.INTERRUPTED,
    ]
    assert history.jobs[1].reason == "missing"


def test_outputs_of_the_acceptance_supersede_the_workers() -> None:
    missing = FileRecord(path="t", kind=FileKind.MISSING)
    touched = FileRecord(path="t", digest=A, size=0)
    history = fold(
        [
            START,
            _job("a", outputs=(FileRecord(path="x", digest=B), missing)),
            JobAccepted(run_id="r", at="", job_id="a", outputs=(touched,)),
            JobAccepted(run_id="r", at="", job_id="a", removed=("x",)),
        ]
    )
    assert history is not None
    assert history.jobs[0].record.outputs == (FileRecord(path="x", digest=B), touched)
    assert list(results(history)) == ["t"]


def test_the_last_accepted_attempt_stands() -> None:
    old, new = FileRecord(path="x", digest=A), FileRecord(path="x", digest=B)
    history = fold(
        [
            START,
            _job("a", started="1", outputs=(old,)),
            _job("b", started="2", outputs=(new,)),
            _job("c", started="3", outputs=(old,)),
            JobAccepted(run_id="r", at="", job_id="a"),
            JobAccepted(run_id="r", at="", job_id="b"),
            JobRejected(run_id="r", at="", job_id="c"),
        ]
    )
    assert history is not None
    assert results(history)["x"][0] == new


def test_without_a_driver_success_on_the_node_counts() -> None:
    run = dataclasses.replace(RUN, completeness=("recorded by wrappers",))
    output = FileRecord(path="x", digest=A)
    entries = [
        RunStarted(run_id="r", at="0", run=run),
        _job("a", outputs=(output,)),
        _job("b", outputs=(FileRecord(path="y", digest=A),), status=JobStatus.FAILED),
    ]
    history = fold(entries)
    assert history is not None
    assert list(results(history)) == ["x"]


def test_what_is_unfolded_folds_to_the_same_history(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.job("make", status=JobStatus.FAILED, verdict="rejected", error="no memory")
    recording.job("make", writes={"x": "x", "y": "y"}, attempt=2, code="echo", removed=["y"])
    recording.job("stop", verdict="interrupted", error="Ctrl-C")
    recording.job("last", verdict=None)
    history = JournalStore(tmp_path).load(recording.end("failed"))
    entries = list(unfold(history))
    assert isinstance(entries[0], RunStarted)
    assert fold(entries) == history
    assert list(unfold(history)) == entries
