"""The index answers by file, follows the journal, and survives whatever happens to it."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest
from recordings import CLEAN, LOOSE, Recording, study, study_again

from snakemake_repro.backends import index_feeds
from snakemake_repro.backends.index import Index, index_of, open_index
from snakemake_repro.backends.index_tables import VERSION, pack, unpack
from snakemake_repro.backends.journal import JournalStore, encode
from snakemake_repro.errors import NotFoundError, RecordError, StorageError
from snakemake_repro.logic.lineage import Sighting
from snakemake_repro.logic.overview import RunLine
from snakemake_repro.records import (
    Digest,
    FileKind,
    FileRecord,
    JobAccepted,
    JobState,
    JobStatus,
    Origin,
)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    study(tmp_path)
    opened = open_index(tmp_path)
    yield opened
    opened.close()


def _rules(sightings: list[Sighting]) -> list[str]:
    return [seen.step.label for seen in sightings]


def test_it_knows_who_made_a_file_and_who_read_it(index: Index) -> None:
    [made] = index.makers("work/features.parquet")
    assert made.step.rule == "features"
    assert made.step.commit == CLEAN.commit
    assert (made.step.dirty, made.step.pinned) == (False, True)
    assert made.step.environment_name == "envs/learn.yaml"
    assert made.step.state is JobState.ACCEPTED
    assert _rules(index.readers("work/features.parquet")) == [
        "evaluate model=xgboost",
        "train model=xgboost",
        "evaluate model=svm",
        "train model=svm",
    ]
    assert index.makers("data/p.dat") == []
    assert index.readers("results/summary.txt") == []


def test_it_knows_inputs_and_outputs_of_an_attempt(index: Index) -> None:
    [made] = index.makers("results/summary.txt")
    inputs = {file.path for file in index.inputs(made.step.id)}
    assert inputs == {"results/svm.json", "results/xgboost.json"}
    assert [file.path for file in index.outputs(made.step.id)] == ["results/summary.txt"]
    assert index.inputs("no such attempt") == []


def test_a_digest_prefix_finds_every_path_that_held_the_bytes(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("one", writes={"a.txt": "same"})
    run.job("two", reads=["a.txt"], writes={"b.txt": "same", "c.txt": "other"})
    run.end()
    index = open_index(tmp_path)
    digest = index.makers("a.txt")[0].file.digest
    assert digest is not None
    for length in (8, 9, 64):
        found = index.with_digest(digest.value[:length])
        assert [file.path for file in found] == ["a.txt", "b.txt"]
        assert {file.digest for file in found} == {digest}
    assert index.with_digest("0" * 8) == []


def test_paths_below_a_directory_are_found_and_no_others(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"out/a": "1", "out/b/c": "2", "out.txt": "3", "outer/d": "4"})
    run.end()
    assert open_index(tmp_path).below("out") == ["out/a", "out/b/c"]


def test_it_reads_on_from_where_it_stopped(tmp_path: Path) -> None:
    study(tmp_path)
    open_index(tmp_path).close()
    open_index(tmp_path).makers("x")
    before = _rows(tmp_path, "SELECT run, name, offset FROM source")
    study_again(tmp_path)
    index = open_index(tmp_path)
    assert len(index.run_ids()) == 2
    after = _rows(tmp_path, "SELECT run, name, offset FROM source")
    assert set(before) < set(after)


def test_a_run_that_goes_on_is_seen_to_grow(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("first", writes={"a": "1"})
    index = open_index(tmp_path)
    assert _rules(index.makers("a")) == ["first"]
    assert index.makers("b") == []
    run.job("second", writes={"b": "2"})
    assert _rules(open_index(tmp_path).makers("b")) == ["second"]


@pytest.mark.parametrize("lines", [1, 2, 3, 7])
def test_reading_in_parts_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    study(tmp_path)
    study_again(tmp_path)
    query = "SELECT uuid, at, status FROM attempt ORDER BY uuid"
    open_index(tmp_path).run_ids()
    expected = _rows(tmp_path, query)
    (tmp_path / ".repro" / "index.sqlite").unlink()
    monkeypatch.setattr(index_feeds, "_PART_LINES", lines)
    told: list[int] = []
    open_index(tmp_path, progress=lambda done, _: told.append(done)).run_ids()
    assert _rows(tmp_path, query) == expected
    assert len(expected) == 16
    assert told == sorted(told)
    assert len(told) > 10 // lines


def test_a_torn_last_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("first", writes={"a": "1"})
    run.job("second", writes={"b": "2"})
    whole = run.worker_file.read_bytes()
    run.worker_file.write_bytes(whole[:-100])
    assert open_index(tmp_path).makers("b") == []
    run.worker_file.write_bytes(whole)
    assert _rules(open_index(tmp_path).makers("b")) == ["second"]


def _delete(path: Path) -> None:
    path.unlink()


def _scribble(path: Path) -> None:
    path.write_bytes(b"this is no database" * 400)


def _damage(path: Path) -> None:
    """Overwrite everything behind the first page, which alone is read on opening."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def _age(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
        db.execute("DROP TABLE attempt")
    db.close()


def _strip(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE attempt")
    db.close()


@pytest.mark.parametrize("harm", [_delete, _scribble, _damage, _age, _strip])
def test_an_index_that_is_lost_corrupt_or_of_another_version_is_built_anew(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    study(tmp_path)
    first = open_index(tmp_path)
    expected = first.makers("results/summary.txt")
    first.close()
    path = tmp_path / ".repro" / "index.sqlite"
    harm(path)
    index = open_index(tmp_path)
    assert index.makers("results/summary.txt") == expected
    index.close()
    again = open_index(tmp_path)
    assert again.makers("results/summary.txt") == expected
    assert path.read_bytes().startswith(b"SQLite format 3")
    assert _rows(tmp_path, "SELECT COUNT(*) FROM attempt") == [(8,)]


def test_a_corrupt_index_in_use_elsewhere_is_left_alone(tmp_path: Path) -> None:
    study(tmp_path)
    holder = open_index(tmp_path)
    holder.run_ids()
    path = tmp_path / ".repro" / "index.sqlite"
    harmed = b"not a database" * 1000
    copy = path.read_bytes()
    path.write_bytes(harmed)
    assert len(open_index(tmp_path).makers("results/summary.txt")) == 1
    assert path.read_bytes() == harmed
    path.write_bytes(copy)


def test_a_run_that_was_removed_is_forgotten(tmp_path: Path) -> None:
    first = study(tmp_path)
    second = study_again(tmp_path)
    assert open_index(tmp_path).run_ids() == [first, second]
    shutil.rmtree(tmp_path / ".repro" / "journal" / first)
    index = open_index(tmp_path)
    assert index.run_ids() == [second]
    assert {seen.step.run_id for seen in index.makers("work/features.parquet")} == {second}


def test_a_journal_that_was_rewritten_is_read_anew(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("first", writes={"a": "1"})
    run.end()
    open_index(tmp_path).makers("a")
    text = run.worker_file.read_text()
    run.worker_file.write_text(text.replace('"first"', '"another"') + "\n\n")
    assert _rules(open_index(tmp_path).makers("a")) == ["another"]


def test_where_the_store_cannot_be_written_the_index_lives_in_memory(tmp_path: Path) -> None:
    study(tmp_path)
    (tmp_path / ".repro" / "index.sqlite").mkdir()
    (tmp_path / ".repro" / "index.lock").mkdir()
    assert _rules(open_index(tmp_path).makers("work/features.parquet")) == ["features"]


def _many_questions(workdir: Path, barrier: object, results: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    index = open_index(workdir)
    makers = len(index.makers("results/summary.txt"))
    results.put((makers, len(index.run_ids())))  # type: ignore[attr-defined]


def test_many_processes_may_build_and_ask_at_once(tmp_path: Path) -> None:
    study(tmp_path)
    study_again(tmp_path)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(6), context.Queue()
    asking = [
        context.Process(target=_many_questions, args=(tmp_path, barrier, results)) for _ in range(6)
    ]
    for process in asking:
        process.start()
    answers = [results.get(timeout=60) for _ in asking]
    for process in asking:
        process.join()
    assert answers == [(2, 2)] * 6
    assert _rows(tmp_path, "SELECT COUNT(*) FROM attempt") == [(16,)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param(b"garbage", "not a JSON object", id="garbage"),
        pytest.param(b"[1, 2]", "not a JSON object but list", id="list"),
        pytest.param(b"[" * 100_000, "not a JSON object", id="deep"),
        pytest.param(b"{}", "not a journal line", id="no schema"),
        pytest.param(
            b'{"schema": 99, "kind": "job-ended"}', "schema 99, this version reads", id="newer"
        ),
        pytest.param(
            b'{"schema": 1, "kind": "job-ended", "run": "r", "at": "t", "data": {"job": {}}}',
            "missing field 'id' in 'job'",
            id="incomplete",
        ),
        pytest.param(
            b'{"schema": 1, "kind": "job-ended", "run": "r", "at": "t", "data": {"job":'
            b' {"id": "a", "run_id": "r", "spec": {"rule": 5, "kind": "shell"}}}}',
            "expected str, got int in 'job.spec.rule'",
            id="wrong type",
        ),
        pytest.param(
            b'{"schema": 1, "kind": "job-ended", "run": "r", "at": "t", "data": {"job":'
            b' {"id": "a", "run_id": "r", "spec": {"rule": "x", "kind": "shell", "inputs":'
            b' [{"path": "p", "size": 99999999999999999999}]}}}}',
            "malformed journal line",
            id="no such size",
        ),
        pytest.param(
            b'{"schema": 1, "kind": "job-ended", "run": "r", "at": "t", "data": {"job":'
            b' {"id": "a", "run_id": "r", "spec": {"rule": "x", "kind": "shell"},'
            b' "status": "perhaps"}}}',
            "expected one of succeeded",
            id="no such status",
        ),
        pytest.param(
            b'{"schema": 1, "kind": "job-accepted", "run": "r", "at": "t", "data": {"job_id":'
            b' "a", "outputs": [{"path": "p", "digest": "md5:1"}]}}',
            "expected a digest 'sha256:<64 hex>', got 'md5:1'",
            id="no such digest",
        ),
    ],
)
def test_a_line_that_cannot_be_read_is_named_by_file_and_number(
    tmp_path: Path, line: bytes, message: str
) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.end()
    with run.worker_file.open("ab") as file:
        file.write(b"\n" + line + b"\n")
    lines = len(run.worker_file.read_bytes().splitlines())
    for _ in range(2):
        with pytest.raises(RecordError) as caught:
            open_index(tmp_path).makers("a")
        assert caught.value.message.startswith(f"{run.worker_file}, line {lines}: ")
        assert message in caught.value.message
        assert caught.value.hint is not None


def test_a_kind_of_line_from_a_later_version_is_passed_over(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.end()
    with run.worker_file.open("ab") as file:
        file.write(b'{"schema": 1, "kind": "moon-phase", "run": "r", "at": "t", "data": {}}\n')
    assert len(open_index(tmp_path).makers("a")) == 1


def test_a_journal_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    directory = tmp_path / ".repro" / "journal" / run_id / "odd.jsonl"
    directory.mkdir()
    with pytest.raises(StorageError, match=r"odd\.jsonl: Is a directory"):
        open_index(tmp_path).makers("a")


def test_no_record_at_all_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no record here: expected") as caught:
        open_index(tmp_path)
    assert "snakemake --executor ray" in str(caught.value.hint)


def test_a_run_without_its_beginning_does_not_count(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.end()
    run.driver_file.unlink()
    index = open_index(tmp_path)
    assert index.run_ids() == []
    assert index.makers("a") == []


def test_lines_may_come_twice_and_in_any_order(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.job("s", writes={"b": "1"}, verdict="rejected")
    run.end()
    expected = open_index(tmp_path).makers("a"), open_index(tmp_path).makers("b")
    for path in (run.driver_file, run.worker_file):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*reversed(lines), *lines]))
    (tmp_path / ".repro" / "index.sqlite").unlink()
    again = open_index(tmp_path)
    assert (again.makers("a"), again.makers("b")) == expected
    assert expected[1][0].step.state is JobState.REJECTED


def test_outputs_that_came_to_be_on_acceptance_supersede_the_workers(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    job_id = run.job("r", writes={"a": "1", "done": "2"}, verdict=None)
    late = FileRecord(path="done", kind=FileKind.FILE, digest=_digest("3"), size=1)
    entry = JobAccepted(run_id=run.id, at=run.now(), job_id=job_id, outputs=(late,))
    with run.driver_file.open("ab") as file:
        file.write(encode(entry))
    run.end()
    index = open_index(tmp_path)
    [made] = index.makers("done")
    assert made.file.digest == late.digest
    assert sorted(file.path for file in index.outputs(job_id)) == ["a", "done"]
    assert index.with_digest(_digest("2").value) == []


def test_removed_outputs_are_known_as_such(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    job_id = run.job("r", writes={"tmp": "1", "kept": "2"}, removed=["tmp"])
    run.end()
    index = open_index(tmp_path)
    assert index.removed(job_id) == {"tmp"}
    assert sorted(file.path for file in index.outputs(job_id)) == ["kept", "tmp"]


ODD_NAMES = [
    "a b.txt",
    "new\nline",
    "[red]markup[/red]",
    "ünïcode \N{SNOWMAN}",
    "\udcff\udc80.bin",
    "'; DROP TABLE file; --",
    "%_wild",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_data(tmp_path: Path, name: str) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={name: "1"}, wildcards={"w": name})
    run.job("s", reads=[name], writes={"sum": "2"})
    run.end()
    index = open_index(tmp_path)
    [made] = index.makers(name)
    assert made.file.path == name
    assert made.step.wildcards == {"w": name}
    assert _rules(index.readers(name)) == ["s"]
    assert unpack(pack(name)) == name


def test_a_line_about_a_run_counts_jobs_not_attempts(tmp_path: Path) -> None:
    run = Recording(tmp_path, git=None)
    run.job("ok", writes={"a": "1"})
    run.job("flaky", status=JobStatus.FAILED, verdict="rejected", error="boom")
    run.job("flaky", attempt=2, writes={"b": "1"})
    run.job("bad", status=JobStatus.FAILED, verdict="rejected", error="boom")
    run.job("old", writes={"c": "1"}, origin=Origin.REUSED, environment=None)
    run.job("all", reads=["a"], kind="norun", origin=Origin.LOCAL, environment=LOOSE)
    run.end("failed")
    [line] = open_index(tmp_path).run_lines([run.id])
    assert line == RunLine(
        id=run.id,
        name="showers",
        command=("snakemake", "--executor", "ray"),
        user="alice",
        started=ANY,
        finished=ANY,
        status="failed",
        jobs=4,
        reused=1,
        failed=1,
        under_git=False,
        commit=None,
        dirty=None,
    )
    with pytest.raises(NotFoundError):
        open_index(tmp_path).run_lines(["0" * 32])


class _Counting:
    """A store that remembers what was loaded from it."""

    def __init__(self, workdir: Path) -> None:
        self._store = JournalStore(workdir)
        self.loaded: list[str] = []

    def run_ids(self) -> list[str]:
        return self._store.run_ids()

    def load(self, run_id: str) -> object:
        self.loaded.append(run_id)
        return self._store.load(run_id)


def test_of_a_remote_store_only_what_is_needed_is_loaded_and_once(tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    store = _Counting(tmp_path)
    index = index_of(store)  # type: ignore[arg-type]
    assert index.run_ids() == [first, second]
    assert store.loaded == []
    index.load(second)
    index.run_lines([second])
    assert store.loaded == [second]
    assert len(index.makers("results/summary.txt")) == 2
    index.makers("results/summary.txt")
    assert store.loaded == [second, first]


def _digest(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def _rows(workdir: Path, query: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(workdir / ".repro" / "index.sqlite")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def test_progress_is_told(tmp_path: Path) -> None:
    study(tmp_path)
    told: list[tuple[int, int]] = []
    open_index(tmp_path, progress=lambda done, total: told.append((done, total))).run_ids()
    size = sum(path.stat().st_size for path in (tmp_path / ".repro").rglob("*.jsonl"))
    assert told[-1] == (size, size)
