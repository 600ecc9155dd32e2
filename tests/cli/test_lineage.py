"""`repro lineage` shows the history of what is there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from recordings import LOOSE, Recording, study, study_again

Repro = Callable[..., Result]


def test_a_result_is_traced_to_the_inputs_across_runs(repro: Repro, tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    result = repro("lineage", "results/summary.txt")
    assert result.exit_code == 0
    text = result.stdout
    assert re.match(r"results/summary\.txt  [0-9a-f]{12}  identical on disk\n", text)
    assert f"summary  run {second[:8]}  learn" in text
    assert f"train model=svm  run {second[:8]}  learn" in text
    assert f"train model=xgboost  run {first[:8]}  learn" in text
    assert f"features  run {first[:8]}  learn  shown above" in text
    assert re.search(r"data/p\.dat  [0-9a-f]{12}  input", text)
    assert re.search(rf"{second[:8]}  2026-03-02 .* 4e98fde01234", text)
    assert re.search(r"envs/learn\.yaml  [0-9a-f]{12}  pinned", text)


def test_downstream_shows_everything_that_was_made_of_a_file(repro: Repro, tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    text = repro("lineage", "data/p.dat", "--downstream").stdout
    assert f"read_run element=p  run {first[:8]}" in text
    assert text.count("results/summary.txt") == 2
    assert f"summary  run {second[:8]}" in text
    assert (
        "no recorded job read it" in repro("lineage", "results/summary.txt", "--downstream").stdout
    )


def test_a_digest_finds_every_file_with_these_bytes(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("one", writes={"a": "same"})
    run.job("two", reads=["a"], writes={"b": "same"})
    run.end()
    digest = json.loads(repro("lineage", "a", "--json").stdout)["lineage"][0]["tree"]["digest"]
    text = repro("lineage", digest.removeprefix("sha256:")[:8]).stdout
    assert text.startswith("a  ")
    assert "\nb  " in text


def test_the_bytes_on_disk_decide_which_history_is_shown(repro: Repro, tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    target = tmp_path / "results/svm.json"
    new = target.read_bytes()
    target.write_text("auc of model 1\n")
    assert f"evaluate model=svm  run {first[:8]}" in repro("lineage", target).stdout
    target.write_bytes(new)
    assert f"evaluate model=svm  run {second[:8]}" in repro("lineage", target).stdout
    target.write_text("meddled")
    result = repro("lineage", target)
    assert result.exit_code == 1
    assert "the file on disk has other bytes" in result.stdout
    assert f"evaluate model=svm  run {second[:8]}" in result.stdout
    target.unlink()
    result = repro("lineage", target)
    assert (result.exit_code, "not on disk" in result.stdout) == (0, True)


def test_a_copy_elsewhere_leads_back_to_the_record(repro: Repro, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    run_id = study(work)
    shutil.copy(work / "results/svm.json", tmp_path / "from-a-colleague.json")
    result = repro("lineage", "from-a-colleague.json", "--store", work)
    assert result.stdout.startswith("results/svm.json  ")
    assert f"evaluate model=svm  run {run_id[:8]}" in result.stdout
    again = repro("lineage", tmp_path / "from-a-colleague.json", "-C", work)
    assert "identical on disk" in again.stdout


def test_bytes_that_nobody_wrote_are_marked(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("make", writes={"a": "made"})
    (tmp_path / "a").write_text("meddled")
    run.job("use", reads=["a"], writes={"b": "b"}, environment=LOOSE)
    run.end()
    text = repro("lineage", "b").stdout
    assert "no recorded job wrote these bytes to this path" in text
    assert re.search(r"host +[0-9a-f]{12} +not pinned", text)


def test_wide_jobs_are_summed_up_unless_asked_for_all(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    names = [f"part/{number:03}" for number in range(200)]
    for name in names:
        run.job("split", wildcards={"name": name}, writes={name: name})
    run.job("join", reads=names, writes={"all": "all"})
    run.end()
    text = repro("lineage", "all").stdout
    assert "196 more files made by split (--all)" in text
    assert len(text.splitlines()) < 20
    assert repro("lineage", "all", "--all").stdout.count("part/") >= 200
    data = json.loads(repro("lineage", "all", "--json").stdout)
    assert len(data["lineage"][0]["tree"]["jobs"][0]["files"]) == 200


def _depth(node: dict[str, Any]) -> int:
    return max((1 + max(map(_depth, job["files"]), default=0) for job in node["jobs"]), default=0)


def test_json_nests_files_and_jobs(repro: Repro, tmp_path: Path) -> None:
    run_id = study(tmp_path)
    data = json.loads(repro("lineage", "results/summary.txt", "--json").stdout)
    assert (data["schema"], data["direction"]) == (1, "upstream")
    [trace] = data["lineage"]
    assert trace["on_disk"] == "identical"
    assert _depth(trace["tree"]) == 5
    [job] = trace["tree"]["jobs"]
    assert job["step"]["run_id"] == run_id
    assert job["step"]["rule"] == "summary"
    assert job["step"]["pinned"] is True
    assert job["cut"] is None
    cut = json.loads(repro("lineage", "results/summary.txt", "--json", "--depth", "2").stdout)
    assert _depth(cut["lineage"][0]["tree"]) == 3


@pytest.mark.parametrize("args", [("--depth", "0"), ("--depth", "x")])
def test_no_depth_is_no_lineage(repro: Repro, tmp_path: Path, args: tuple[str, str]) -> None:
    study(tmp_path)
    assert repro("lineage", "results/summary.txt", *args).exit_code == 2


def test_it_draws_for_other_programs(repro: Repro, tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    text = repro("lineage", "results/summary.txt", "--format", "dot").stdout
    assert text.startswith("digraph lineage {\n")
    assert text.count("train model=") == 2
    assert f"run {first[:8]}" in text
    assert f"run {second[:8]}" in text
    text = repro("lineage", "data/p.dat", "--downstream", "--format", "mermaid").stdout
    assert text.startswith("flowchart LR\n")
    assert "summary<br/>run" in text
