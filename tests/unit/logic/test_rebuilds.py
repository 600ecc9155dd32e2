"""Jobs that are executed again are judged by every output; obstacles are named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from recordings import PINNED, Recording

from snakemake_repro.backends.index import open_index
from snakemake_repro.logic.change import ChangeKind, FileChange, Judgement
from snakemake_repro.logic.made import Made
from snakemake_repro.logic.outcomes import JobOutcome, outcomes
from snakemake_repro.logic.rebuilds import Rebuild, Rebuilt, judged, obstacle, target_of
from snakemake_repro.operations.compare import compared
from snakemake_repro.records import JobStatus, Origin


def _job(root: Path, minutes: int = 0, **kwargs: object) -> tuple[Made | None, JobOutcome]:
    run = Recording(root, minutes=minutes)
    fields = {"wildcards": {"m": "svm"}, "writes": {"a": "1", "b": "2"}, **kwargs}
    run.job("train", **fields)  # type: ignore[arg-type]
    run.end()
    found = compared(open_index(root), run.id)
    [outcome] = outcomes(found.history)
    return next(iter(found.made), None), outcome


def _made(root: Path, minutes: int = 0, **kwargs: object) -> Made:
    made, _ = _job(root, minutes, **kwargs)
    assert made is not None
    return made


def _strict(_: Made, change: FileChange) -> FileChange:
    """Judge as where no rule declares a comparator."""
    return change


def _tolerant(_: Made, change: FileChange) -> FileChange:
    judgement = Judgement(comparator="json(rtol=1)", difference=None)
    return dataclasses.replace(change, judgement=judgement if change.path == "b" else None)


def test_the_same_bytes_are_identical_whatever_else_moved(tmp_path: Path) -> None:
    old = _made(tmp_path)
    same = judged(old, _made(tmp_path, 1), None, _strict)
    assert (same.came, same.outputs, same.changes) == (Rebuilt.IDENTICAL, (), ())
    moved = judged(old, _made(tmp_path, 2, params=[("p", 1)]), None, _strict)
    assert (moved.came, moved.changes[0].kind) == (Rebuilt.IDENTICAL, ChangeKind.PARAM)


def test_every_output_counts_not_the_first_alone(tmp_path: Path) -> None:
    old = _made(tmp_path)
    other = judged(old, _made(tmp_path, 1, writes={"a": "1", "b": "3"}), None, _strict)
    assert (other.came, [file.path for file in other.outputs]) == (Rebuilt.DIFFERENT, ["b"])


def test_outputs_within_tolerance_count_as_the_same_if_all_that_differ_are(tmp_path: Path) -> None:
    old = _made(tmp_path)
    near = judged(old, _made(tmp_path, 1, writes={"a": "1", "b": "3"}), None, _tolerant)
    far = judged(old, _made(tmp_path, 2, writes={"a": "2", "b": "3"}), None, _tolerant)
    assert (near.came, far.came) == (Rebuilt.TOLERATED, Rebuilt.DIFFERENT)
    assert not Rebuild(run_id="r", of=1, jobs=(near,)).differs


def test_a_repeat_that_fails_says_how(tmp_path: Path) -> None:
    old = _made(tmp_path)
    made, outcome = _job(tmp_path, 1, status=JobStatus.FAILED, verdict="rejected", error="no disk")
    assert made is None
    assert (judged(old, None, outcome, _strict).came, judged(old, None, outcome, _strict).note) == (
        Rebuilt.FAILED, "no disk",
    )  # fmt: skip
    assert judged(old, None, None, _strict).note == "it did not run"


def test_a_job_is_named_as_snakemake_is_told(tmp_path: Path) -> None:
    assert target_of(_made(tmp_path, wildcards={"m": "svm", "n": "1"})) == "train:m=svm,n=1"
    assert target_of(_made(tmp_path, 1, wildcards={})) == "train:"


@pytest.mark.parametrize(
    ("kwargs", "why"),
    [
        ({}, None),
        ({"wildcards": {"m": "a,b"}}, "a comma"),
        ({"reads": ["gone"]}, "not every input was recorded"),
        ({"origin": Origin.REUSED, "environment": None}, "is not on record"),
    ],
)
def test_what_cannot_be_tried_is_told_beforehand(
    tmp_path: Path, kwargs: dict[str, object], why: str | None
) -> None:
    found = obstacle(_made(tmp_path, **kwargs))
    assert found is None if why is None else why in (found or "")


def test_a_rebuild_of_nothing_decides_nothing(tmp_path: Path) -> None:
    assert Rebuild(run_id="r", of=0, jobs=()).undecided
    job = judged(_made(tmp_path, environment=PINNED), _made(tmp_path, 1), None, _strict)
    done = Rebuild(run_id="r", of=1, jobs=(job,))
    assert (done.undecided, done.differs, done.counts[Rebuilt.IDENTICAL]) == (False, False, 1)
