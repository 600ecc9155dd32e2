"""Lineage follows bytes, not names, and trees stay readable."""

from __future__ import annotations

from pathlib import Path

from recordings import Recording, study

from snakemake_repro.backends.index import Index, open_index
from snakemake_repro.logic.lineage import (
    Cut,
    FileNode,
    JobNode,
    More,
    downstream,
    maker,
    upstream,
)
from snakemake_repro.records import Digest, JobStatus, Origin


def _jobs(node: FileNode) -> list[JobNode]:
    return [found for job in node.jobs for found in (job, *_inner(job))]


def _inner(job: JobNode) -> list[JobNode]:
    return [found for file in job.files for found in _jobs(file)]


def _leaves(node: FileNode) -> set[str]:
    if not node.jobs:
        return {node.path}
    return {leaf for job in _jobs(node) for file in job.files for leaf in _leaves(file)}


def test_a_result_leads_back_to_the_files_that_no_job_made(tmp_path: Path) -> None:
    study(tmp_path)
    tree = upstream(open_index(tmp_path), "results/summary.txt", None)
    rules = [job.step.rule for job in _jobs(tree)]
    assert set(rules) == {"summary", "evaluate", "train", "features", "read_run"}
    assert _leaves(tree) == {"data/p.dat", "data/Fe.dat"}


def test_a_job_is_shown_in_full_once(tmp_path: Path) -> None:
    study(tmp_path)
    tree = upstream(open_index(tmp_path), "results/summary.txt", None)
    features = [job for job in _jobs(tree) if job.step.rule == "features"]
    assert [job.cut for job in features] == [None, *[Cut.REPEATED] * 3]
    assert [bool(job.files) for job in features] == [True, False, False, False]


def test_a_tree_is_cut_where_asked_and_says_so(tmp_path: Path) -> None:
    study(tmp_path)
    tree = upstream(open_index(tmp_path), "results/summary.txt", None, depth=2)
    assert {job.step.rule for job in _jobs(tree) if job.cut is None} == {"summary", "evaluate"}
    assert {job.step.rule for job in _jobs(tree) if job.cut is Cut.DEPTH} == {"train", "features"}


def test_an_endless_chain_is_cut(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("step", wildcards={"n": "0"}, writes={"0": "0"})
    for number in range(1, 150):
        reads = [str(number - 1)]
        run.job("step", wildcards={"n": str(number)}, reads=reads, writes={str(number): "x"})
    run.end()
    index = open_index(tmp_path)
    chain = _jobs(upstream(index, "149", None, depth=10_000))
    assert len(chain) == 101
    assert chain[-1].cut is Cut.DEPTH
    assert len(_jobs(downstream(index, "0", None))) == 101


def test_many_files_of_one_rule_are_summed_up(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    (tmp_path / "in").write_text("in")
    names = [f"part/{number:03}" for number in range(40)]
    for name in names:
        run.job("split", wildcards={"name": name}, reads=["in"], writes={name: name})
    run.job("join", reads=["in", *names], writes={"all": "all"})
    run.end()
    index = open_index(tmp_path)
    [join] = upstream(index, "all", None, width=3).jobs
    assert [file.path for file in join.files] == ["in", *names[:3]]
    assert join.more == (More(rule="split", count=37),)
    assert len(upstream(index, "all", None).jobs[0].files) == 41
    tree = downstream(index, "in", None, width=3)
    assert [job.step.rule for job in tree.jobs] == ["split", "split", "split", "join"]
    assert tree.more == (More(rule="split", count=37),)


def test_bytes_that_no_job_wrote_are_not_ascribed_to_the_one_that_wrote_others(
    tmp_path: Path,
) -> None:
    run = Recording(tmp_path)
    run.job("make", writes={"a": "made"})
    (tmp_path / "a").write_text("meddled")
    run.job("use", reads=["a"], writes={"b": "b"})
    run.end()
    [use] = upstream(open_index(tmp_path), "b", None).jobs
    assert use.files == (FileNode(path="a", digest=use.files[0].digest, size=7, altered=True),)


def _steps(index: Index, path: str, digest: Digest | None, before: str | None) -> str | None:
    made = maker(index.makers(path), digest, before)
    return None if made is None else made.step.rule


def test_the_maker_is_the_last_that_wrote_these_bytes_before_they_were_read(
    tmp_path: Path,
) -> None:
    run = Recording(tmp_path)
    run.job("one", writes={"a": "x"})
    between = run.now()
    run.job("two", writes={"a": "x"})
    run.job("other", writes={"a": "y"})
    run.job("failed", writes={"a": "x"}, status=JobStatus.FAILED, verdict="rejected")
    run.job("refused", writes={"a": "x"}, verdict="rejected")
    run.end()
    index = open_index(tmp_path)
    x = next(seen.file.digest for seen in index.makers("a") if seen.step.rule == "one")
    assert _steps(index, "a", x, None) == "two"
    assert _steps(index, "a", x, between) == "one"
    assert _steps(index, "a", x, "1999") == "two"  # clocks differ between nodes
    assert _steps(index, "a", None, None) == "other"
    assert _steps(index, "a", Digest("0" * 64), None) is None


def test_what_was_only_found_up_to_date_counts_where_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("older than any record")
    run = Recording(tmp_path)
    run.job("make", writes={"a": None}, origin=Origin.REUSED, environment=None)
    run.end()
    [job] = upstream(open_index(tmp_path), "a", None).jobs
    assert job.step.origin is Origin.REUSED


def test_attempts_that_failed_made_nothing_downstream(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("in")
    run = Recording(tmp_path)
    run.job("use", reads=["in"], status=JobStatus.FAILED, verdict="rejected")
    run.job("use", attempt=2, reads=["in"], writes={"out": "out"})
    run.end()
    tree = downstream(open_index(tmp_path), "in", None)
    assert [job.files[0].path for job in tree.jobs] == ["out"]
