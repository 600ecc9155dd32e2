"""`repro verify` names what differs, and its exit code can be relied on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from recordings import Recording, study, study_again

from snakemake_repro.backends.files import hash_file
from snakemake_repro.backends.journal import cache_file
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.records import Digest

Repro = Callable[..., Result]


def test_untouched_results_are_as_recorded(repro: Repro, tmp_path: Path) -> None:
    run_id = study(tmp_path)
    result = repro("verify")
    assert result.exit_code == 0
    assert result.stdout == f"Run {run_id[:8]}: everything is as recorded (10 identical).\n"
    listed = repro("verify", "--all").stdout
    assert len(re.findall(r"^identical  ", listed, re.MULTILINE)) == 10


def test_one_flipped_byte_is_named_with_its_job(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    (tmp_path / "results/svm.model").write_text("modeL 1\n")
    (tmp_path / "data/p.dat").unlink()
    result = repro("verify")
    assert result.exit_code == 1
    text = result.stdout
    assert re.search(r"changed +results/svm\.model +[0-9a-f]{12}  [0-9a-f]{12}", text)
    assert "made by train model=svm" in text
    assert re.search(r"missing +data/p\.dat +[0-9a-f]{12}  - ", text)
    assert "not as recorded (8 identical, 1 changed, 1 missing)." in text


def test_an_earlier_run_is_verified_by_its_name(repro: Repro, tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    assert repro("verify", second[:8]).exit_code == 0
    result = repro("verify", first[:8])
    assert result.exit_code == 1
    assert f"these bytes were made by run {second[:8]}" in result.stdout


def test_a_clone_elsewhere_is_verified_against_the_first_record(
    repro: Repro, tmp_path: Path
) -> None:
    first, clone = tmp_path / "first", tmp_path / "clone"
    first.mkdir()
    run_id = study(first)
    shutil.copytree(first, clone, ignore=shutil.ignore_patterns(".repro"))
    shutil.rmtree(first / "results")
    for args in (("-C", clone, "--store", first), ("-C", clone, "--store", first / ".repro")):
        assert repro("verify", run_id[:8], *args).exit_code == 0
    assert repro("verify", run_id[:8], "-C", first).exit_code == 1
    (clone / "results/svm.json").write_text("x")
    result = repro("verify", "--store", first, "-C", clone)
    assert result.exit_code == 1
    assert "results/svm.json" in result.stdout


def test_files_and_directories_are_verified_by_name(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    assert "(5 identical)" in repro("verify", "results").stdout
    assert "(2 identical)" in repro("verify", "results/svm.json", "data/p.dat").stdout
    (tmp_path / "mine.txt").write_text("x")
    result = repro("verify", "mine.txt", "results")
    assert result.exit_code == 2
    assert re.search(r"not in record +mine\.txt", result.stdout)
    assert "undecided (5 identical, 1 not in record)." in result.stdout
    (tmp_path / "results/svm.json").write_text("x")
    assert repro("verify", "mine.txt", "results").exit_code == 1


def test_temporary_files_are_not_missed(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"tmp": "1", "kept": "2"}, removed=["tmp"])
    run.end()
    result = repro("verify")
    assert result.exit_code == 0
    assert "(1 identical, 1 removed by design)" in result.stdout


def test_a_run_without_files_has_nothing_to_compare(repro: Repro, tmp_path: Path) -> None:
    Recording(tmp_path).end()
    result = repro("verify")
    assert result.exit_code == 0
    assert "there is nothing to compare" in result.stdout


def test_json_has_every_finding_and_every_count(repro: Repro, tmp_path: Path) -> None:
    run_id = study(tmp_path)
    (tmp_path / "results/svm.model").write_text("x")
    result = repro("verify", "--json")
    data = json.loads(result.stdout)
    assert (result.exit_code, data["schema"]) == (1, 1)
    assert data["verification"]["run_id"] == run_id
    assert data["counts"] == {
        "identical": 9,
        "changed": 1,
        "missing": 0,
        "removed by design": 0,
        "not in record": 0,
        "unreadable": 0,
    }
    [changed] = [f for f in data["verification"]["findings"] if f["state"] == "changed"]
    assert changed["path"] == "results/svm.model"
    assert changed["expected"] != changed["found"]


def test_a_run_that_was_not_committed_cannot_be_rebuilt(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path, git=None)
    run.job("a", writes={"a": "1"})
    run.end()
    for args in (("verify", "--rebuild"), ("verify", "--rebuild", "a"), ("rerun",)):
        result = repro(*args)
        assert (result.exit_code, "was not committed to git" in result.stderr) == (2, True), args
    assert "no job 'nothing'" in repro("verify", "--rebuild", "nothing").stderr
    assert "without --rebuild" in repro("verify", "--sample", "1").stderr


def test_quick_believes_what_a_run_read_of_files_that_look_the_same(
    repro: Repro, tmp_path: Path
) -> None:
    study(tmp_path)
    believed, changed = tmp_path / "results/svm.model", tmp_path / "results/xgboost.model"
    cache = StatCache()
    for path in (believed, changed):
        cache.refresh(path, Digest("0" * 64), None)
    changed.write_text("other trees\n")
    cache.save(cache_file(tmp_path))
    result = repro("verify", "--quick", "--json")
    assert result.exit_code == 1
    findings = json.loads(result.stdout)["verification"]["findings"]
    found = {item["path"]: item["found"] for item in findings if item["state"] == "changed"}
    assert found == {
        "results/svm.model": f"sha256:{'0' * 64}",
        "results/xgboost.model": str(hash_file(changed)[0]),
    }
    assert "1 changed" in repro("verify").stdout


def test_quick_goes_with_no_rebuild(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    result = repro("verify", "--quick", "--rebuild")
    assert result.exit_code == 2
    assert "--quick reads no file and --rebuild makes them" in result.stderr
