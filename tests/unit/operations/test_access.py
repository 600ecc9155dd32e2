"""A run or a file is found by whatever a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import Recording, study, study_again

from snakemake_repro.backends.index import Index, open_index
from snakemake_repro.errors import NotFoundError, UsageError
from snakemake_repro.logic.delivery import Delivery
from snakemake_repro.operations.access import (
    Found,
    Place,
    find_files,
    find_run,
    named_run,
    open_record,
)
from snakemake_repro.operations.deliver import Notes


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    return study(tmp_path), study_again(tmp_path)


def _index(tmp_path: Path) -> Index:
    return open_index(tmp_path)


def test_a_run_is_named_in_many_ways(tmp_path: Path, runs: tuple[str, str]) -> None:
    first, second = runs
    index = _index(tmp_path)
    svm = index.makers("results/svm.json")[1].file.digest
    assert svm is not None
    names = {
        "latest": second,
        first: first,
        first[:8]: first,
        first[:8].upper(): first,
        "results/svm.json": second,
        str(tmp_path / "results" / "svm.json"): second,
        "work/../results/svm.json": second,
        "results/xgboost.json": first,
        svm.value[:8]: first,
        str(svm): first,
    }
    assert {name: find_run(index, name, tmp_path) for name in names} == names


def test_a_run_goes_by_the_id_of_its_mlflow_run_too(tmp_path: Path, runs: tuple[str, str]) -> None:
    for run_id, mlflow_run in zip(runs, ("ab" * 16, "ab" * 8 + "cd" * 8), strict=True):
        Notes(tmp_path).write(Delivery(run_id=run_id, mlflow_run=mlflow_run))
    (tmp_path / ".repro/delivery/damaged.json").write_text("[")
    assert find_run(_index(tmp_path), "ab" * 16, tmp_path) == runs[0]
    assert find_run(_index(tmp_path), "ab" * 8 + "cd", tmp_path) == runs[1]
    with pytest.raises(UsageError, match="2 begin so"):
        find_run(_index(tmp_path), "ab" * 4, tmp_path)


@pytest.mark.parametrize("name", ["nonsense", "0" * 8, "0" * 32, "0" * 64, "../elsewhere", ""])
def test_what_is_not_there_is_said_to_be_not_there(
    tmp_path: Path, runs: tuple[str, str], name: str
) -> None:
    assert name not in runs
    with pytest.raises(NotFoundError) as caught:
        find_run(_index(tmp_path), name, tmp_path)
    assert repr(name) in caught.value.message
    assert "repro log" in str(caught.value.hint)


def test_a_prefix_of_several_runs_is_refused_with_their_names(tmp_path: Path) -> None:
    ids = ["ab" * 4 + f"{number:024x}" for number in range(7)]
    for run_id in ids:
        Recording(tmp_path, run_id=run_id).end()
    with pytest.raises(UsageError, match="7 begin so: abababab0") as caught:
        find_run(_index(tmp_path), "abababab", tmp_path)
    assert caught.value.hint == "Give more characters."
    assert find_run(_index(tmp_path), ids[3], tmp_path) == ids[3]


def test_an_input_has_no_run(tmp_path: Path, runs: tuple[str, str]) -> None:
    with pytest.raises(NotFoundError, match=r"no recorded job made 'data/p\.dat'; 2 jobs read it"):
        find_run(_index(tmp_path), "data/p.dat", tmp_path)


def test_a_file_is_found_through_a_link_to_the_directory(
    tmp_path: Path, runs: tuple[str, str]
) -> None:
    link = tmp_path.with_name(tmp_path.name + "-link")
    link.symlink_to(tmp_path)
    index = _index(tmp_path)
    expected = (Found(path="results/svm.json"),)
    assert find_files(index, "results/svm.json", link) == expected
    assert find_files(index, str(tmp_path / "results/svm.json"), link) == expected


def test_a_copy_is_found_by_its_bytes(tmp_path: Path, runs: tuple[str, str]) -> None:
    copy = tmp_path.with_name(tmp_path.name + "-copy.json")
    copy.write_bytes((tmp_path / "results/svm.json").read_bytes())
    [found] = find_files(_index(tmp_path), str(copy), tmp_path)
    assert found.path == "results/svm.json"
    assert found.digest is not None
    copy.write_text("something else")
    with pytest.raises(NotFoundError):
        find_files(_index(tmp_path), str(copy), tmp_path)
    copy.write_text("")
    with pytest.raises(NotFoundError):
        find_files(_index(tmp_path), str(copy), tmp_path)


def test_a_path_counts_before_a_digest(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "x"})
    run.end()
    digest = _index(tmp_path).makers("a")[0].file.digest
    assert digest is not None
    prefix = digest.value[:10]
    again = Recording(tmp_path, minutes=1)
    again.job("named so", writes={prefix: "y"})
    again.end()
    assert find_files(_index(tmp_path), prefix, tmp_path) == (Found(path=prefix),)
    assert find_files(_index(tmp_path), f"sha256:{prefix}", tmp_path) == (
        Found(path="a", digest=digest),
    )


@pytest.mark.parametrize("name", ["sha256:abc", "sha256:xyz" + "0" * 9, "sha256:" + "0" * 65])
def test_what_is_no_digest_is_refused(tmp_path: Path, runs: tuple[str, str], name: str) -> None:
    with pytest.raises(UsageError, match="is not a digest, expected at least 8"):
        find_files(_index(tmp_path), name, tmp_path)


def test_arguments_name_a_run_or_files(tmp_path: Path, runs: tuple[str, str]) -> None:
    first, second = runs
    index = _index(tmp_path)
    assert named_run(index, ()) == second
    assert named_run(index, ("latest",)) == second
    assert named_run(index, (first[:12],)) == first
    assert named_run(index, ("results",)) is None
    assert named_run(index, ("latest", "results")) is None


def test_a_record_without_runs_says_so(tmp_path: Path) -> None:
    (tmp_path / ".repro" / "journal").mkdir(parents=True)
    with pytest.raises(NotFoundError, match="holds no run yet"):
        find_run(_index(tmp_path), "latest", tmp_path)


def test_another_store_is_a_working_directory_or_its_repro(
    tmp_path: Path, runs: tuple[str, str]
) -> None:
    here = tmp_path / "elsewhere"
    for store in (tmp_path, tmp_path / ".repro"):
        index = open_record(Place(workdir=here, store=store))
        assert index.run_ids() == list(runs)
    with pytest.raises(NotFoundError, match="no record here"):
        open_record(Place(workdir=here))


def test_two_records_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected one of them"):
        open_record(Place(workdir=tmp_path, store=tmp_path, tracking_uri="http://127.0.0.1:1"))
    with pytest.raises(UsageError, match="no tracking server"):
        open_record(Place(workdir=tmp_path, experiment="x"))
