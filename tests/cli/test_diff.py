"""`repro diff` names where two runs part, and folds what follows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from recordings import HOST, PINNED, Recording, study, study_again

from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.records import JobStatus, Origin, Package

Repro = Callable[..., Result]


def _chain(root: Path, minutes: int, **change: Any) -> str:
    """Write a run of three jobs in a row, something of the second one changed."""
    config = change.pop("config", {})
    content = change.pop("content", "b")
    run = Recording(root, minutes=minutes, config=config, host=change.pop("host", HOST))
    (root / "in").write_text(change.pop("read", "in"))
    made = {"code": "make", "params": [("n", 1)], **change}
    run.job("first", writes={"a": "a"})
    run.job("second", reads=["a", "in"], writes={"b": content}, metrics={"m": 1.5}, **made)
    run.job("third", reads=["b"], writes={"c": f"c of {content}"})
    return run.end()


def _changed(root: Path, **change: Any) -> tuple[str, str]:
    return _chain(root, 0), _chain(root, 60, content="other", **change)


MOVED = dataclasses.replace(
    PINNED,
    digest=digest_of("Environment/1", "moved"),
    packages=(Package(name="numpy", version="2.1.1"), PINNED.packages[1]),
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"params": [("n", 2)]}, "parameter n: 1 -> 2"),
        ({"code": "make better"}, "code of second changed"),
        ({"read": "In"}, "input in: "),
        ({"environment": MOVED}, "package numpy: 2.1.0 -> 2.1.1"),
        ({"threads": 2}, "threads: 1 -> 2"),
        ({"modules": {"helper.py": "x = 1"}}, "code of helper.py is new"),
        ({}, "nondeterminism in second: the same job key gave other bytes"),
    ],
)
def test_the_first_divergence_is_named_and_what_follows_is_folded(
    repro: Repro, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    old, new = _changed(tmp_path, **change)
    result = repro("diff")
    assert result.exit_code == 1, result.output
    text = result.stdout
    assert text.startswith(f"The runs differ.\na  run {old[:8]}")
    assert f"b  run {new[:8]}" in text
    assert f"First divergence\n  {said}" in text
    assert "Beside that" not in text
    assert "in second\n" in text
    assert "What follows  1 job" in text
    assert "1 job the same in both runs." in text
    data = json.loads(repro("diff", old, new, "--json").stdout)["comparison"]
    [finding] = data["findings"]
    assert finding["jobs"] == ["second"]
    assert [file["path"] for file in finding["outputs"]] == ["b"]
    assert data["following"] == [{"rule": "third", "jobs": 1, "differing": 1}]


def test_lines_of_code_are_shown(repro: Repro, tmp_path: Path) -> None:
    _changed(tmp_path, code="make better")
    text = repro("diff").stdout
    assert "    -make\n    +make better\n" in text


def test_runs_that_are_the_same_say_so(repro: Repro, tmp_path: Path) -> None:
    old, new = _chain(tmp_path, 0), _chain(tmp_path, 60)
    result = repro("diff", old, new)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "Nothing differs.")
    assert "3 jobs the same in both runs." in result.stdout
    assert json.loads(repro("diff", "--json").stdout)["comparison"]["likeness"] == "identical"


def test_a_change_without_effect_is_told_and_is_no_difference(repro: Repro, tmp_path: Path) -> None:
    _chain(tmp_path, 0), _chain(tmp_path, 60, params=[("n", 2)])
    result = repro("diff")
    assert result.exit_code == 0
    assert "Every output is the same, although something differs." in result.stdout
    assert "with the same results" in result.stdout
    assert "What follows" not in result.stdout


def test_another_host_is_named_beside_the_same_key(repro: Repro, tmp_path: Path) -> None:
    other = dataclasses.replace(HOST, id="node2-1a2b", name="node2", cpu="Another Model 2")
    _changed(tmp_path, host=other)
    assert "host cpu: none -> Another Model 2" in repro("diff").stdout


def test_results_that_were_reused_count_as_what_made_them(repro: Repro, tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    data = json.loads(repro("diff", first, second, "--json").stdout)["comparison"]
    assert data["same"] == 5
    [finding] = data["findings"]
    assert (finding["change"]["kind"], finding["jobs"]) == ("nondeterminism", ["train model=svm"])


def test_jobs_of_one_run_only_and_metrics_come_last(repro: Repro, tmp_path: Path) -> None:
    one = Recording(tmp_path)
    one.job("evaluate", writes={"m": "1"}, metrics={"auc": 0.5, "loss": 1.0})
    one.job("gone", writes={"g": "g"})
    one.job("breaks", writes={"x": "x"})
    old = one.end()
    two = Recording(tmp_path, minutes=60)
    two.job("evaluate", writes={"m": "2"}, metrics={"auc": 0.75, "loss": 1.0}, params=[("p", 1)])
    two.job("breaks", status=JobStatus.FAILED, verdict="rejected", error="no")
    two.end("failed")
    result = repro("diff", old, "latest")
    assert result.exit_code == 1
    text = result.stdout
    assert "gone  a: executed, b: not in it" in text
    assert "breaks  a: executed, b: failed" in text
    assert text.rstrip().endswith("evaluate  auc     0.5  0.75   0.25")
    assert "loss" not in text


def test_one_change_in_many_jobs_is_told_once(repro: Repro, tmp_path: Path) -> None:
    for minutes, code in ((0, "old"), (60, "new")):
        run = Recording(tmp_path, minutes=minutes)
        for number in range(9):
            run.job(
                "split", wildcards={"n": str(number)}, writes={f"s/{number}": code + str(number)},
                code=code,
            )  # fmt: skip
        run.end()
    text = repro("diff").stdout
    assert text.count("code of split changed") == 1
    assert "in split n=0, split n=1, split n=2 and 6 more jobs" in text
    assert "and 3 more files (--all)" in text
    assert repro("diff", "--all").stdout.count("s/") == 9


def test_results_from_nowhere_are_told_from_nondeterminism(repro: Repro, tmp_path: Path) -> None:
    one = Recording(tmp_path)
    one.job("make", writes={"x": "made"})
    one.end()
    (tmp_path / "x").write_text("copied from elsewhere")
    two = Recording(tmp_path, minutes=60)
    two.job("make", writes={"x": None}, origin=Origin.REUSED, environment=None)
    two.job("other", reads=["x"], writes={"y": "y"})
    two.end()
    assert "unrecorded in make" in repro("diff").stdout


@pytest.mark.parametrize(
    ("args", "said"), [((), "is the first one"), (("nothing", "latest"), "no run 'nothing'")]
)
def test_there_must_be_two_runs(
    repro: Repro, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    study(tmp_path)
    result = repro("diff", *args)
    assert (result.exit_code, said in result.stderr) == (2, True)
