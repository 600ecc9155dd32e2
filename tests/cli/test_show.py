"""`repro show` tells everything that is on record of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from recordings import CLEAN, Recording, study

from snakemake_repro.logic.canonical import digest_of_text
from snakemake_repro.records import GitState, JobStatus

Repro = Callable[..., Result]
DIFF = "--- a/Snakefile\n+++ b/Snakefile\n@@ -1 +1 @@\n-old\n+new\n"


def test_every_attempt_has_a_line(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("make", status=JobStatus.FAILED, verdict="rejected", error="no memory")
    last = run.job("make", writes={"x": "x"}, attempt=2, wildcards={"n": "1"})
    run_id = run.end()
    result = repro("show")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"Run {run_id}"
    assert [line.split()[2] for line in lines if line.startswith("make  ")] == ["failed"]
    assert f"make n=1  {last[:8]}  accepted  1.5 s" in result.stdout


def test_one_job_is_told_in_full(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    text = repro("show", "--job", "train model=svm").stdout
    assert text.startswith("train model=svm\n")
    assert "parameters" in text
    assert '{"seed": 1}' in text
    assert "environment  envs/learn.yaml" in text
    digest = digest_of_text("model 1\n").value
    assert digest in text.replace("\n", "").replace(" ", "")
    assert "evaluate" not in text


def test_json_is_the_record_itself(repro: Repro, tmp_path: Path) -> None:
    run_id = study(tmp_path)
    data = json.loads(repro("show", run_id[:8], "--json").stdout)
    assert data["schema"] == 1
    assert data["run"]["run"]["id"] == run_id
    assert len(data["run"]["jobs"]) == 8
    assert data["run"]["jobs"][0]["state"] == "accepted"
    [code] = [c for c in data["run"]["codes"].values() if c["text"] == "features"]
    assert code["digest"] == str(digest_of_text("features"))


def test_uncommitted_changes_are_printed_as_they_are(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path, git=GitState(commit=CLEAN.commit, dirty=True, diff=DIFF))
    assert repro("show", "--diff").stdout == DIFF
    lost = Recording(tmp_path, minutes=60, git=GitState(commit=CLEAN.commit, dirty=True))
    lost.end()
    result = repro("show", "--diff")
    assert (result.exit_code, "were not kept" in result.stderr) == (2, True)


def test_a_job_that_is_not_there_is_named(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    result = repro("show", "--job", "nothing")
    assert (result.exit_code, "no job 'nothing'" in result.stderr) == (2, True)
