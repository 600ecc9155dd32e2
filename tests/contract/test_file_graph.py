"""Every file graph answers alike: from journals on disk, and from runs of another store."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from recordings import Recording, study, study_again

from snakemake_repro.backends.index import Index, index_of, open_index
from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.logic.history import fold, results
from snakemake_repro.logic.lineage import Sighting, downstream, maker, upstream
from snakemake_repro.records import JobStatus

GRAPHS: dict[str, Callable[[Path], Index]] = {
    "journals on disk": open_index,
    "another store": lambda workdir: index_of(JournalStore(workdir)),
}

PATHS = (
    "data/p.dat",
    "work/p.parquet",
    "work/features.parquet",
    "results/svm.json",
    "results/xgboost.json",
    "results/summary.txt",
    "nowhere",
)


@pytest.fixture(params=list(GRAPHS))
def graph(request: pytest.FixtureRequest, tmp_path: Path) -> Index:
    study(tmp_path)
    study_again(tmp_path)
    run = Recording(tmp_path, minutes=120)
    run.job("summary", status=JobStatus.FAILED, verdict="rejected", error="boom")
    run.job("scratch", writes={"tmp/a": "1", "tmp/b": "2"}, removed=["tmp/a"])
    run.job("cut", writes={"cut": "1"}, verdict="interrupted")
    run.end("failed")
    return GRAPHS[request.param](tmp_path)


def _comparable(sightings: list[Sighting]) -> list[object]:
    # when an entry was written is known to the journal alone
    return sorted(
        (repr(dataclasses.replace(seen.step, at="")), repr(seen.file)) for seen in sightings
    )


def test_it_agrees_with_the_histories_themselves(graph: Index) -> None:
    for run_id in graph.run_ids():
        for path, (file, job) in results(graph.load(run_id)).items():
            seen = {(s.step.id, s.file.digest, s.file.size) for s in graph.makers(path)}
            assert (job.record.id, file.digest, file.size) in seen
            assert path in {f.path for f in graph.outputs(job.record.id)}
            read = {f.path for f in graph.inputs(job.record.id)}
            assert read == {f.path for f in job.record.spec.inputs}


def test_it_agrees_with_an_index_of_the_journals(graph: Index, tmp_path: Path) -> None:
    reference = open_index(tmp_path)
    assert graph.run_ids() == reference.run_ids()
    assert graph.run_lines(graph.run_ids()) == reference.run_lines(graph.run_ids())
    assert graph.below("work") == reference.below("work")
    for path in (*PATHS, "tmp/a", "cut"):
        assert _comparable(graph.makers(path)) == _comparable(reference.makers(path))
        assert _comparable(graph.readers(path)) == _comparable(reference.readers(path))
        for seen in graph.makers(path):
            assert graph.removed(seen.step.id) == reference.removed(seen.step.id)
            digest = seen.file.digest
            assert digest is not None
            assert graph.with_digest(digest.value) == reference.with_digest(digest.value)
            same = [other for other in graph.makers(path) if other.file.digest == digest]
            assert graph.makers(path, digest) == same


def test_what_it_loads_is_what_the_journal_folds_to(graph: Index, tmp_path: Path) -> None:
    store = JournalStore(tmp_path)
    for run_id in graph.run_ids():
        assert graph.load(run_id) == fold(store.entries(run_id))


def test_old_and_new_bytes_of_a_path_have_different_makers(graph: Index) -> None:
    first, second = graph.run_ids()[:2]
    new, old = [seen for seen in graph.makers("results/svm.json") if seen.step.stands]
    assert (new.step.run_id, old.step.run_id) == (second, first)
    assert maker(graph.makers("results/svm.json"), old.file.digest) == old
    [kept, reused] = sorted(graph.makers("results/xgboost.json"), key=lambda s: s.step.at)
    assert kept.file.digest == reused.file.digest
    assert maker(graph.makers("results/xgboost.json"), reused.file.digest) == kept


def test_upstream_goes_through_the_run_that_really_made_each_input(graph: Index) -> None:
    first, second = graph.run_ids()[:2]
    tree = upstream(graph, "results/summary.txt", None)
    [summary] = tree.jobs
    assert summary.step.run_id == second
    by_path = {file.path: file.jobs[0].step.run_id for file in summary.files}
    assert by_path == {"results/svm.json": second, "results/xgboost.json": first}


def test_downstream_reaches_every_run_that_used_a_file(graph: Index) -> None:
    first, second = graph.run_ids()[:2]
    tree = downstream(graph, "work/features.parquet", None)
    runs = {job.step.run_id for job in tree.jobs}
    assert runs == {first, second}
