"""`repro export` writes runs for others."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import Result
from competency import answers
from crates import complaints
from recordings import PINNED, Recording, study, study_again

from snakemake_repro.backends.files import observe
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.crate_actions import COMPLETED, FAILED
from snakemake_repro.records import EnvironmentKind, GitState, JobStatus

Repro = Callable[..., Result]
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")


@pytest.fixture
def committed(tmp_path: Path) -> GitState:
    """Commit a workflow in the test's directory."""
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/Snakefile").write_text('rule all: input: "x"\n')
    (tmp_path / "LICENSE").write_text("Do as you like.\n")
    for words in (("init", "-q"), ("add", "."), (*IDENTITY, "commit", "-qm", "study")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    return GitState(commit=head.stdout.strip())


def _graph(crate: Path) -> dict[str, dict[str, object]]:
    data = json.loads((crate / "ro-crate-metadata.json").read_text())
    return {one["@id"]: one for one in data["@graph"]}


def test_a_crate_answers_as_the_original_does(
    repro: Repro, tmp_path: Path, committed: GitState
) -> None:
    study(tmp_path, git=committed)
    study_again(tmp_path, git=committed)
    assert repro("export", "--format", "crate", "-o", "crate").exit_code == 0
    report = repro("report", "-C", "crate").stdout
    assert report == repro("report").stdout
    assert repro("verify", "-C", "crate").exit_code == 0
    graph = _graph(tmp_path / "crate")
    assert graph["./"]["license"] == {"@id": "LICENSE"}
    assert graph["LICENSE"]["@type"] == ["File", "CreativeWork"]
    assert graph["workflow/Snakefile"]["version"] == committed.commit


def test_what_json_cannot_hold_is_said_in_words(
    repro: Repro, tmp_path: Path, committed: GitState
) -> None:
    run = Recording(tmp_path, git=committed)
    run.job("make", writes={"x": "x"}, metrics={"loss": math.nan}, params=[("t", "\udcff")])
    run.end()
    assert repro("export", "--format", "crate", "-o", "crate").exit_code == 0
    text = (tmp_path / "crate/ro-crate-metadata.json").read_bytes().decode()
    json.loads(text, parse_constant=pytest.fail)
    assert '"value": "nan"' in text


def test_data_that_is_left_out_is_described(
    repro: Repro, tmp_path: Path, committed: GitState
) -> None:
    study(tmp_path, git=committed)
    (tmp_path / "results/svm.model").write_text("meddled")
    result = repro("export", "--format", "crate", "-o", "crate")
    assert "described only: " in result.stdout
    assert "results/svm.model" in result.stdout
    assert not (tmp_path / "crate/results/svm.model").exists()
    [file] = [
        one for one in _graph(tmp_path / "crate").values() if one.get("name") == "results/svm.model"
    ]
    assert (file["contentSize"], str(file["@id"])[0]) == ("8", "#")
    run = Recording(tmp_path, git=committed, minutes=60)
    run.job("touch", writes={"results/empty": "", "results/summary.txt": "a long summary"})
    run.job("read", reads=["work/features.parquet"])
    run.end()
    assert repro("export", "--format", "crate", "-o", "bare", "--no-data").exit_code == 0
    assert not (tmp_path / "bare/results").exists()
    assert (tmp_path / "bare/workflow/Snakefile").exists()
    small = repro("export", "--format", "crate", "-o", "small", "--max-size", "0.00001")
    assert small.exit_code == 0
    assert (tmp_path / "small/work/features.parquet").exists()
    assert not (tmp_path / "small/results/summary.txt").exists()


def test_the_validator_accepts_what_jobs_can_be_like(
    repro: Repro, tmp_path: Path, committed: GitState
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ä b#1?.txt").write_text("in")
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/learn.lock").write_text("numpy==2.1.0")
    image = dataclasses.replace(
        PINNED,
        digest=digest_of("Environment/1", "image"),
        kind=EnvironmentKind.CONTAINER,
        name="docker://lab.example.org:5000/tools/learn:1",
        packages=(),
        image=f"lab.example.org:5000/tools/learn@{digest_of('x', 'image')}",
    )
    lock = observe(tmp_path / "envs/learn.lock", root=tmp_path)
    locked = dataclasses.replace(PINNED, lock=lock)
    run = Recording(tmp_path, git=committed, config={"n": 1, "deep": {"a": [1, None]}})
    params = [("x", [1, 2]), ("y", True), ("z", None), (None, "plain")]
    run.job("odd", reads=["data/ä b#1?.txt"], writes={"out/a b.txt": "x"}, params=params)
    (tmp_path / "out/tree").mkdir()
    (tmp_path / "out/tree/leaf").write_text("leaf")
    run.job("tree", writes={"out/tree": None}, environment=image, seeds={"numpy": 1})
    run.job("lost", status=JobStatus.LOST, verdict="rejected", resubmission=1)
    run.job("stop", status=JobStatus.INTERRUPTED, verdict="interrupted")
    run.job("gone", writes={"out/temp.txt": "t"}, removed=["out/temp.txt"], environment=locked)
    run.job(
        "late", reads=["out/tree"], writes={"out/late": "x"}, metrics={"auc": 0.5}, verdict=None
    )
    run.end("failed")
    about = ("--author", "A", "--organization", "O", "--organization-url", "https://example.org")
    assert repro("export", "--format", "crate", "-o", "crate", *about).exit_code == 0
    graph = _graph(tmp_path / "crate")
    assert (tmp_path / "crate/data/ä b#1?.txt").exists()
    [container] = [one for one in graph.values() if one["@type"] == "ContainerImage"]
    assert (container["registry"], container["name"]) == ("lab.example.org:5000", "tools/learn")
    assert container["sha256"] == digest_of("x", "image").value
    assert graph["out/tree/"]["@type"] == "Dataset"
    (tmp_path / "notes").mkdir()
    assert complaints(tmp_path / "crate", tmp_path / "notes") == []
    found = answers(tmp_path / "crate")
    assert [question for question, rows in found.items() if not rows] == []
    assert found["1 which container images"] == [("tools/learn", digest_of("x", "image").value)]
    assert ("odd", "cpu_user_s") in [
        row[:2] for row in found["2 how much memory and processor time"]
    ]
    assert found["3 which configuration"] == [("deep", '{"a": [1, null]}'), ("n", "1")]
    assert ("tree", image.name, str(image.digest)) in found["4 which environment in a step"]
    ended = {row[:2] for row in found["7 whether it succeeded"]}
    assert {("lost", FAILED), ("odd", COMPLETED)} <= ended
    [read] = [file for role, file in found["8 what the workflow read and made"] if role == "read"]
    assert unquote(read).endswith("/data/ä b#1?.txt")
    got = found["11 which parameters tools got"]
    assert got == [
        ("odd", *row) for row in [("3", "plain"), ("x", "[1, 2]"), ("y", "true"), ("z", "null")]
    ]
    repro("export", "--format", "crate", "-o", "bare")
    (tmp_path / "more").mkdir()
    wanting = " ".join(complaints(tmp_path / "bare", tmp_path / "more"))
    assert "organizational `affiliation`" in wanting, "the validator does its work"


def test_nothing_is_written_over_and_nothing_half_written_stays(
    repro: Repro, tmp_path: Path, committed: GitState
) -> None:
    study(tmp_path, git=committed)
    before = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / "crate").mkdir()
    taken = repro("export", "--format", "crate", "-o", "crate")
    assert (taken.exit_code, "there already" in taken.stderr) == (2, True)
    nowhere = repro("export", "--format", "crate", "-o", "no/crate")
    assert (nowhere.exit_code, "cannot write" in nowhere.stderr) == (3, True)
    lost = GitState(commit="f" * 40)
    study_again(tmp_path, git=lost)
    (tmp_path / "workflow/Snakefile").write_text("other")
    gone = repro("export", "--format", "crate", "-o", "other")
    assert (gone.exit_code, "is not there as it was recorded" in gone.stderr) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "crate"])
