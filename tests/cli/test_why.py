"""`repro why` names what had changed since a job's outputs were made before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from recordings import Recording, study, study_again

from snakemake_repro.records import JobStatus, Origin

Repro = Callable[..., Result]


def _twice(root: Path) -> tuple[str, str]:
    """Write two runs of a chain, with another parameter at its beginning."""
    ids = []
    for minutes, seed in ((0, 1), (60, 2)):
        run = Recording(root, minutes=minutes)
        run.job("draw", writes={"a": f"a{seed}"}, params=[("seed", seed)])
        run.job("fit", reads=["a"], writes={"b": f"b{seed}"}, wildcards={"m": "svm"})
        run.job("still", writes={"s": "s"}, reason="Forced execution")
        run.job("plot", reads=["b"], writes={"c": "c"})
        ids.append(run.end())
    return ids[0], ids[1]


def test_a_file_leads_to_what_changed_above_it(repro: Repro, tmp_path: Path) -> None:
    old, new = _twice(tmp_path)
    result = repro("why", "c")
    assert result.exit_code == 0
    text = result.stdout
    assert text.startswith(f"plot  ran in run {new[:8]}, ")
    assert "because of parameter seed: 1 -> 2" in text
    assert "input b: " in text
    assert "fit m=svm  ran in run" in text
    assert "parameter seed: 1 -> 2" in text
    assert f"compared with run {old[:8]}" in text
    data = json.loads(repro("why", "c", "--json").stdout)
    [because] = data["why"]
    assert because["outputs"] == []
    assert [root["name"] for root in because["roots"]] == ["seed"]
    [fit] = because["causes"]
    [draw] = fit["causes"]
    assert draw["changes"] == [
        {"kind": "parameter", "name": "seed", "old": 1, "new": 2, "text": []}
    ]


@pytest.mark.parametrize("name", [("fit",), ("fit", "m=svm"), ("fit m=svm",)])
def test_a_job_is_named_by_its_rule_and_wildcards(
    repro: Repro, tmp_path: Path, name: tuple[str, ...]
) -> None:
    _twice(tmp_path)
    assert repro("why", *name).stdout.startswith("fit m=svm  ran in run")


def test_a_job_that_nothing_moved_was_forced(repro: Repro, tmp_path: Path) -> None:
    _twice(tmp_path)
    text = repro("why", "still").stdout
    assert "nothing that determines its result had changed" in text
    assert "Snakemake: Forced execution" in text
    assert "the same results" in text


def test_the_first_time_there_is_nothing_to_compare(repro: Repro, tmp_path: Path) -> None:
    old, _ = _twice(tmp_path)
    text = repro("why", "draw", "--run", old).stdout
    assert "no earlier job on record made its outputs" in text


def test_of_reused_results_it_explains_who_made_them(repro: Repro, tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    text = repro("why", "train", "model=xgboost").stdout
    assert text.startswith(f"train model=xgboost  ran in run {first[:8]}")
    assert f"run {second[:8]} found its results up to date" in " ".join(text.split())


def test_a_failed_job_is_explained_by_its_rule(repro: Repro, tmp_path: Path) -> None:
    one = Recording(tmp_path)
    one.job("make", writes={"x": "x"})
    one.end()
    two = Recording(tmp_path, minutes=60)
    for attempt in (1, 2):
        two.job("make", writes={"x": None}, params=[("p", 1)], attempt=attempt,
                status=JobStatus.FAILED, verdict="rejected", error="no")  # fmt: skip
    two.end("failed")
    text = repro("why", "make").stdout
    assert "parameter p: none -> 1" in text
    assert "attempt 2, after a failure" in text


def test_what_is_reused_from_nowhere_has_no_reason(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    (tmp_path / "x").write_text("x")
    run.job("make", writes={"x": None}, origin=Origin.REUSED, environment=None)
    run.job("use", reads=["x"], writes={"y": "y"})
    run.end()
    assert "no earlier job on record made its outputs" in repro("why", "make").stdout


def test_nothing_of_that_name_lists_the_rules(repro: Repro, tmp_path: Path) -> None:
    _twice(tmp_path)
    result = repro("why", "other")
    assert result.exit_code == 2
    assert "rules of that run: draw, fit, plot, still" in " ".join(result.stderr.split())


def test_what_is_no_longer_as_it_was_is_told(repro: Repro, tmp_path: Path) -> None:
    _twice(tmp_path)
    assert "since then" not in repro("why", "c").stdout
    (tmp_path / "b").write_text("meddled")
    (tmp_path / "c").unlink()
    text = repro("why", "c").stdout
    assert "since then: input b: " in text
    assert "since then: output files c: " in text
    assert text.count("since then") == 2
    data = json.loads(repro("why", "c", "--json").stdout)["why"][0]["since"]
    assert [(change["name"], change["new"] is None) for change in data] == [
        ("b", False), ("c", True),
    ]  # fmt: skip


def test_a_cause_in_a_run_between_is_found(repro: Repro, tmp_path: Path) -> None:
    for minutes, seed, whole in ((0, 1, True), (60, 2, False)):
        run = Recording(tmp_path, minutes=minutes)
        run.job("draw", writes={"a": f"a{seed}"}, params=[("seed", seed)])
        if whole:
            run.job("fit", reads=["a"], writes={"b": f"b{seed}"})
        run.end("succeeded" if whole else "failed")
    last = Recording(tmp_path, minutes=120)
    last.job("draw", writes={"a": None}, origin=Origin.REUSED, environment=None)
    last.job("fit", reads=["a"], writes={"b": "b2"})
    last.end()
    assert "because of parameter seed: 1 -> 2" in repro("why", "b").stdout


def test_every_job_of_a_rule_has_its_roots(repro: Repro, tmp_path: Path) -> None:
    for minutes in (0, 60):
        run = Recording(tmp_path, minutes=minutes)
        run.job("draw", writes={"a": f"a{minutes}"}, params=[("seed", minutes)])
        for number in "12":
            run.job("fit", wildcards={"n": number}, reads=["a"], writes={f"b{number}": "b"})
        run.end()
    reasons = json.loads(repro("why", "fit", "--json").stdout)["why"]
    assert [[root["name"] for root in because["roots"]] for because in reasons] == [["seed"]] * 2
    assert [len(because["causes"]) for because in reasons] == [1, 0], "each job is told once"
