"""The journal keeps what was written, whatever happens to the writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snakemake_repro.backends.journal import FileJournal, JournalStore, encode, read
from snakemake_repro.errors import NotFoundError, RecordError, StorageError
from snakemake_repro.records import JobEnded, JobRecord, JobSpec, RunStarted, WorkflowRun

RUN_ID = "0" * 32


def _start(run_id: str = RUN_ID, at: str = "2026-01-01") -> RunStarted:
    return RunStarted(run_id=run_id, at=at, run=WorkflowRun(id=run_id, name="n", started=at))


def _job(job_id: str) -> JobEnded:
    job = JobRecord(id=job_id, run_id=RUN_ID, spec=JobSpec(rule="r", kind="shell"))
    return JobEnded(run_id=RUN_ID, at="2026-01-02", job=job)


def test_many_writers_make_one_run(tmp_path: Path) -> None:
    writers = [FileJournal(tmp_path, RUN_ID, name) for name in ("driver", "worker", "worker")]
    writers[0].append(_start())
    for index, writer in enumerate(writers):
        writer.append(_job(str(index)))
        writer.close()
    history = JournalStore(tmp_path).load(RUN_ID)
    assert [job.record.id for job in history.jobs] == ["0", "1", "2"]
    assert len(JournalStore(tmp_path).files(RUN_ID)) == 3


def test_only_lines_that_have_a_word_are_read_if_some_are_given(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, RUN_ID, "worker")
    ids = [f"{number:032x}" for number in range(4)]
    for job_id in ids:
        journal.append(_job(job_id))
    journal.path.write_bytes(b"garbage\n" + journal.path.read_bytes())
    found = JournalStore(tmp_path).entries(RUN_ID, having=ids[1:3])
    assert [entry.job.id for entry in found if isinstance(entry, JobEnded)] == ids[1:3]


def test_runs_are_listed_oldest_first(tmp_path: Path) -> None:
    for run_id, at in (("1" * 32, "2026-03"), ("2" * 32, "2026-01"), ("3" * 32, "2026-02")):
        FileJournal(tmp_path, run_id, "driver").append(_start(run_id, at))
    assert JournalStore(tmp_path).run_ids() == ["2" * 32, "3" * 32, "1" * 32]


def test_what_a_run_planned_is_told_by_its_beginning_whatever_follows(tmp_path: Path) -> None:
    assert JournalStore(tmp_path).job_count(RUN_ID) is None
    journal = FileJournal(tmp_path, RUN_ID, "worker")
    journal.append(_job("a"))
    journal.path.write_bytes(journal.path.read_bytes() + b"garbage\n")
    assert JournalStore(tmp_path).job_count(RUN_ID) is None
    run = WorkflowRun(id=RUN_ID, name="n", started="2026-01-01", job_count=7)
    FileJournal(tmp_path, RUN_ID, "driver").append(
        RunStarted(run_id=RUN_ID, at="2026-01-01", run=run)
    )
    assert JournalStore(tmp_path).job_count(RUN_ID) == 7


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, cut: int) -> None:
    journal = FileJournal(tmp_path, RUN_ID, "driver")
    journal.append(_start())
    journal.append(_job("a"))
    with journal.path.open("r+b") as file:
        file.truncate(journal.path.stat().st_size - cut)
    assert len(list(read(journal.path))) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"garbage\n", "line 2: not a JSON object"),
        (b"[]\n", "line 2: not a JSON object"),
        (b'{"kind": "x"}\n', "line 2: not a journal line"),
        (
            encode(_job("a")).replace(b'"schema":1', b'"schema":2'),
            "line 2: journal line of schema 2",
        ),
        (encode(_job("a")).replace(b'"rule":"r"', b'"rule":5'), "in 'job.spec.rule'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    journal = FileJournal(tmp_path, RUN_ID, "driver")
    journal.append(_start())
    with journal.path.open("ab") as file:
        file.write(line)
    with pytest.raises(RecordError) as caught:
        JournalStore(tmp_path).load(RUN_ID)
    assert message in caught.value.message
    assert str(journal.path) in caught.value.message


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no run 'ffff"):
        JournalStore(tmp_path).load("f" * 32)


def test_a_run_id_cannot_leave_the_store(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(encode(_start()))
    with pytest.raises(NotFoundError):
        JournalStore(tmp_path / "w").load("../../..")


def test_a_store_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / ".repro").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write the record to"):
        FileJournal(tmp_path, RUN_ID, "driver").append(_start())


def test_no_space_leaves_no_torn_line(tmp_path: Path) -> None:
    script = f"""
import resource, signal, sys
from pathlib import Path
from snakemake_repro.backends.journal import FileJournal
from snakemake_repro.errors import StorageError
from snakemake_repro.records import RunStarted, WorkflowRun
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
journal = FileJournal(Path({str(tmp_path)!r}), "0" * 32, "driver")
entry = RunStarted(run_id="0" * 32, at="a", run=WorkflowRun(id="0" * 32, name="n" * 150, started=""))
try:
    for _ in range(10):
        journal.append(entry)
except StorageError as error:
    print(error.message)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "no space left" in done.stdout
    [path] = JournalStore(tmp_path).files(RUN_ID)
    assert path.read_bytes().endswith(b"\n")
    assert len(list(read(path))) >= 1


def test_what_append_returned_from_survives_sigkill(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from snakemake_repro.backends.journal import FileJournal
from snakemake_repro.records import RunStarted, WorkflowRun
journal = FileJournal(Path({str(tmp_path)!r}), "0" * 32, "driver")
journal.append(RunStarted(run_id="0" * 32, at="a", run=WorkflowRun(id="0" * 32, name="n", started="")))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    assert JournalStore(tmp_path).run_ids() == [RUN_ID]
