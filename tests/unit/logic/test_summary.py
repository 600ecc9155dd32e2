"""The summary counts jobs rightly and tells old results from new ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import HOST, PINNED, Recording, study, study_again

from snakemake_repro.backends.index import open_index
from snakemake_repro.logic.made import Age
from snakemake_repro.logic.outcomes import Result, outcomes
from snakemake_repro.logic.summary import JobCounts, RunSummary, Verdict
from snakemake_repro.logic.summary_builder import seconds
from snakemake_repro.operations.report import report
from snakemake_repro.records import FileKind, JobStatus, Origin


def _report(workdir: Path, run_id: str) -> RunSummary:
    return report(open_index(workdir), run_id)


def test_a_first_run_made_everything(tmp_path: Path) -> None:
    summary = _report(tmp_path, study(tmp_path))
    assert summary.verdict is Verdict.SUCCEEDED
    assert summary.jobs == JobCounts(total=8, executed=8)
    assert summary.host == HOST
    assert {file.age for file in summary.outputs} == {Age.NEW}
    assert [file.path for file in summary.outputs if file.final] == ["results/summary.txt"]
    assert [file.path for file in summary.inputs] == ["data/Fe.dat", "data/p.dat"]
    assert [file.rules for file in summary.inputs] == [("read_run",), ("read_run",)]
    [environment] = summary.environments
    assert (environment.digest, environment.jobs, environment.packages) == (PINNED.digest, 8, 2)
    assert summary.debts == ()


def test_after_a_change_old_results_are_told_from_new(tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    summary = _report(tmp_path, second)
    assert summary.jobs == JobCounts(total=8, executed=3, reused=5)
    ages = {file.path: (file.age, file.run_id) for file in summary.outputs}
    assert ages["results/summary.txt"] == (Age.NEW, second)
    assert ages["results/svm.json"] == (Age.NEW, second)
    assert ages["results/xgboost.json"] == (Age.REUSED, first)
    assert ages["work/features.parquet"] == (Age.REUSED, first)
    assert all(file.made is not None for file in summary.outputs)


def test_reused_results_keep_metrics_and_environment_of_the_run_that_made_them(
    tmp_path: Path,
) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    summary = _report(tmp_path, second)
    metrics = {(m.job, m.name): (m.value, m.run_id, m.age) for m in summary.metrics}
    assert metrics["evaluate model=xgboost", "auc"] == (0.8312, first, Age.REUSED)
    assert metrics["evaluate model=svm", "auc"] == (0.8312, second, Age.NEW)
    assert {file.environment for file in summary.outputs} == {PINNED.name}
    assert summary.environments[0].jobs == 8


def test_what_was_there_before_any_record_is_said_to_be_unrecorded(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("1")
    run = Recording(tmp_path)
    run.job("make", writes={"old": None}, origin=Origin.REUSED, environment=None)
    run.end()
    [file] = _report(tmp_path, run.id).outputs
    assert (file.age, file.run_id, file.made) == (Age.UNRECORDED, None, None)


def test_a_reused_file_with_other_bytes_than_recorded_is_not_ascribed_to_its_first_maker(
    tmp_path: Path,
) -> None:
    first = Recording(tmp_path)
    first.job("make", writes={"a": "1"})
    first.end()
    (tmp_path / "a").write_text("meddled")
    second = Recording(tmp_path, minutes=5)
    second.job("make", writes={"a": None}, origin=Origin.REUSED, environment=None)
    second.end()
    [file] = _report(tmp_path, second.id).outputs
    assert file.age is Age.UNRECORDED


def test_every_way_a_job_can_end_is_counted_once(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("good", writes={"a": "1"})
    run.job("flaky", status=JobStatus.FAILED, verdict="rejected", error="boom")
    run.job("flaky", attempt=2, writes={"b": "1"})
    run.job("lost", status=JobStatus.LOST, verdict=None, error="node died")
    run.job("lost", resubmission=1, writes={"c": "1"})
    run.job("bad", status=JobStatus.FAILED, verdict="rejected", error="exit status 1")
    run.job("bad", attempt=2, status=JobStatus.FAILED, verdict="rejected", error="exit status 2")
    run.job("refused", writes={"d": "1"}, verdict="rejected", error="output is missing")
    run.job("stopped", status=JobStatus.INTERRUPTED, verdict=None)
    run.job("unjudged", writes={"e": "1"}, verdict=None)
    run.job("here", writes={"f": "1"}, origin=Origin.LOCAL, environment=None)
    run.job("target", reads=["a"], kind="norun", origin=Origin.LOCAL, environment=None)
    run.end("failed")
    summary = _report(tmp_path, run.id)
    assert summary.jobs == JobCounts(
        total=8,
        executed=3,
        local=1,
        failed=2,
        interrupted=1,
        unconfirmed=1,
        retried=2,
        resubmitted=1,
    )
    assert {f.job: (f.result, f.attempts, f.error) for f in summary.failures} == {
        "bad": (Result.FAILED, 2, "exit status 2"),
        "refused": (Result.FAILED, 1, "output is missing"),
        "stopped": (Result.INTERRUPTED, 1, None),
        "unjudged": (Result.UNCONFIRMED, 1, None),
    }
    assert sorted(file.path for file in summary.outputs) == ["a", "b", "c", "f"]


def test_jobs_come_in_the_order_of_their_files_whoever_started_first(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    (tmp_path / "b").write_text("1")
    run.job("last", reads=["b"], writes={"c": "1"})
    run.job("first", writes={"a": "1"})
    run.job("middle", reads=["a"], writes={"b": "1"})
    run.end()
    jobs = outcomes(open_index(tmp_path).load(run.id))
    assert [job.rule for job in jobs] == ["first", "middle", "last"]


def test_a_record_of_jobs_that_read_their_own_results_is_shown_all_the_same(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("1")
    run = Recording(tmp_path)
    run.job("one", reads=["a"], writes={"b": "1"})
    run.job("two", reads=["b"], writes={"a": "1"})
    run.job("self", reads=["c"], writes={"c": "1"})
    run.end()
    assert len(outcomes(open_index(tmp_path).load(run.id))) == 3


def test_cost_is_summed_over_attempts_and_memory_is_the_peak(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", wildcards={"n": "1"}, status=JobStatus.FAILED, verdict="rejected", wall_s=10)
    run.job("r", wildcards={"n": "1"}, attempt=2, writes={"a": "1"}, wall_s=20)
    run.job("r", wildcards={"n": "2"}, writes={"b": "1"}, wall_s=30)
    run.end()
    [rule] = _report(tmp_path, run.id).rules
    assert (rule.jobs.total, rule.jobs.retried) == (2, 1)
    assert (rule.wall_s, rule.max_rss_mb) == (60.0, 180.5)
    assert rule.cpu_s == pytest.approx(48.3)


def test_a_run_without_end_and_one_with_an_unknown_end(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.close()
    summary = _report(tmp_path, run.id)
    assert (summary.verdict, summary.finished, summary.duration_s) == (
        Verdict.UNFINISHED,
        None,
        None,
    )
    run = Recording(tmp_path, minutes=10)
    run.end("imploded")
    assert _report(tmp_path, run.id).verdict is Verdict.FAILED


def test_temporary_and_missing_outputs_are_no_results(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"tmp": "1", "kept": "2", "gone": None}, removed=["tmp"])
    run.end()
    summary = _report(tmp_path, run.id)
    files = {file.path: (file.final, file.removed, file.kind) for file in summary.outputs}
    assert files == {
        "tmp": (True, True, FileKind.FILE),
        "kept": (True, False, FileKind.FILE),
    }


def test_the_last_value_of_a_metric_counts(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    job = run.job("r", writes={"a": "1"}, metrics={"loss": 0.5}, seeds={"numpy": 1})
    run.end()
    journal = run.worker_file.read_text()
    more = '{"name":"loss","value":0.25,"step":2},{"name":"loss","value":0.3,"step":1}'
    run.worker_file.write_text(journal.replace('"metrics":[', f'"metrics":[{more},'))
    [metric] = _report(tmp_path, run.id).metrics
    assert (metric.job_id, metric.value, metric.step, metric.steps) == (job, 0.25, 2, 3)


def test_durations_of_nonsense_are_unknown() -> None:
    assert seconds("2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00") == 60.0
    assert seconds("yesterday", "2026-01-01T00:01:00+00:00") is None
    assert seconds("2026-01-01T00:00:00", "2026-01-01T00:01:00+00:00") is None
