"""The atlas numbers every job and file of a run, and says who made what."""

from __future__ import annotations

from pathlib import Path

from recordings import Recording, study, study_again

from snakemake_repro.backends.index import open_index
from snakemake_repro.logic.atlas import Atlas, FilePlace, JobPlace
from snakemake_repro.logic.outcomes import Result
from snakemake_repro.operations.report import report_with_atlas
from snakemake_repro.records import JobStatus, Origin


def _atlas(workdir: Path, run_id: str) -> Atlas:
    return report_with_atlas(open_index(workdir), run_id)[1]


def _job(found: Atlas, label: str) -> JobPlace:
    [job] = [one for one in found.jobs if f"{found.rules[one.rule]} {one.values}".strip() == label]
    return job


def _file(found: Atlas, path: str) -> FilePlace:
    [file] = [one for one in found.files if one.path == path]
    return file


def test_files_lead_to_their_makers_and_jobs_to_their_files(tmp_path: Path) -> None:
    found = _atlas(tmp_path, study(tmp_path))
    assert found.rules == ("read_run", "features", "train", "evaluate", "summary")
    assert [found.files[n].path for n in found.sources] == ["data/Fe.dat", "data/p.dat"]
    job = _job(found, "evaluate model=svm")
    assert [found.files[n].path for n in job.inputs] == [
        "results/svm.model",
        "work/features.parquet",
    ]
    assert [found.files[n].path for n in job.outputs] == ["results/svm.json"]
    assert found.jobs[_file(found, "results/svm.json").maker or 0] is job
    assert (job.seeds, job.wall_s, job.host) == ({"numpy": 1}, 1.5, "node1")
    [attempt] = job.tries
    assert attempt.end - attempt.start == 1.5


def test_makers_come_before_their_readers(tmp_path: Path) -> None:
    found = _atlas(tmp_path, study(tmp_path))
    for number, job in enumerate(found.jobs):
        makers = [found.files[file].maker for file in job.inputs]
        assert all(maker is None or maker < number for maker in makers)


def test_reused_jobs_tell_of_the_run_that_did_their_work(tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    found = _atlas(tmp_path, second)
    assert [run.id for run in found.runs] == [second, first]
    job = _job(found, "train model=xgboost")
    assert (job.result, job.run, job.params) == (Result.REUSED, 1, {"seed": 1})
    assert job.environment == 0
    assert job.tries == ()
    assert _job(found, "train model=svm").run == 0


def test_who_is_not_on_record_is_not_invented(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("1")
    run = Recording(tmp_path)
    run.job("make", writes={"old": None}, origin=Origin.REUSED, environment=None)
    run.end()
    [job] = _atlas(tmp_path, run.id).jobs
    assert (job.run, job.environment, job.tries) == (None, None, ())


def test_a_job_that_failed_reads_but_made_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("1")
    run = Recording(tmp_path)
    for attempt in (1, 2):
        run.job(
            "bad",
            reads=["in"],
            attempt=attempt,
            status=JobStatus.FAILED,
            verdict="rejected",
            error="boom",
        )
    run.end("failed")
    [job] = _atlas(tmp_path, run.id).jobs
    assert (job.result, job.error, job.attempts, job.outputs) == (Result.FAILED, "boom", 2, ())
    assert [one.succeeded for one in job.tries] == [False, False]


def test_a_path_with_other_bytes_than_were_written_there_is_another_file(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("make", writes={"a": "1"})
    (tmp_path / "a").write_text("changed by hand")
    run.job("use", reads=["a"], writes={"b": "2"})
    run.end()
    found = _atlas(tmp_path, run.id)
    made, altered = [one for one in found.files if one.path == "a"]
    assert (made.maker, made.altered) == (0, False)
    assert (altered.maker, altered.altered) == (None, True)


def test_a_file_that_another_run_made_names_its_maker(tmp_path: Path) -> None:
    first = Recording(tmp_path)
    first.job("prepare", wildcards={"x": "1"}, writes={"a": "1"})
    first.end()
    second = Recording(tmp_path, minutes=60)
    (tmp_path / "b").write_text("by hand")
    second.job("use", reads=["a", "b"], writes={"c": "2"})
    second.end()
    found = _atlas(tmp_path, second.id)
    step = _file(found, "a").elsewhere
    assert step is not None
    assert (step.label, step.run_id) == ("prepare x=1", first.id)
    assert _file(found, "b").elsewhere is None
    assert _file(found, "c").elsewhere is None


def test_what_was_removed_by_design_is_called_so(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("make", writes={"a": "1"}, removed=["a"])
    run.end()
    [file] = _atlas(tmp_path, run.id).files
    assert file.removed
