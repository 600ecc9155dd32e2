"""What differs from the record is named, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recordings import Recording, study, study_again

from snakemake_repro.backends.index import open_index
from snakemake_repro.operations.verify import (
    Role,
    State,
    Verification,
    verify_files,
    verify_run,
)


def _run(workdir: Path, run_id: str, where: Path | None = None) -> Verification:
    return verify_run(open_index(workdir), run_id, where or workdir)


def _odd(verification: Verification) -> dict[str, State]:
    return {f.path: f.state for f in verification.findings if f.state is not State.IDENTICAL}


def test_untouched_files_are_identical(tmp_path: Path) -> None:
    verification = _run(tmp_path, study(tmp_path))
    assert verification.counts[State.IDENTICAL] == 10
    assert _odd(verification) == {}
    assert (verification.differs, verification.undecided) == (False, False)


def test_one_flipped_byte_is_named(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    target = tmp_path / "results/svm.model"
    data = bytearray(target.read_bytes())
    data[3] ^= 1
    target.write_bytes(data)
    verification = _run(tmp_path, run_id)
    assert _odd(verification) == {"results/svm.model": State.CHANGED}
    assert verification.differs
    [finding] = [f for f in verification.findings if f.state is State.CHANGED]
    assert finding.job == "train model=svm"
    assert finding.role is Role.OUTPUT
    assert finding.expected != finding.found
    assert finding.note is None


def test_changed_inputs_and_missing_files_are_named(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    (tmp_path / "data/p.dat").write_text("other showers")
    (tmp_path / "results/summary.txt").unlink()
    verification = _run(tmp_path, run_id)
    assert _odd(verification) == {
        "data/p.dat": State.CHANGED,
        "results/summary.txt": State.MISSING,
    }


def test_a_directory_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    (tmp_path / "results/summary.txt").unlink()
    (tmp_path / "results/summary.txt").mkdir()
    [finding] = [f for f in _run(tmp_path, run_id).findings if f.state is State.CHANGED]
    assert finding.note == "expected a file, got a directory"


def test_directories_are_compared_by_content(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("1")
    run.job("r", writes={"out": None})
    run.end()
    assert _odd(_run(tmp_path, run.id)) == {}
    (tmp_path / "out" / "b").write_text("2")
    assert _odd(_run(tmp_path, run.id)) == {"out": State.CHANGED}


def test_what_was_removed_by_design_is_not_missed(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"tmp": "1", "kept": "2"}, removed=["tmp"])
    run.end()
    verification = _run(tmp_path, run.id)
    assert _odd(verification) == {"tmp": State.REMOVED}
    assert not verification.differs
    named = verify_files(open_index(tmp_path), ["tmp"], tmp_path)
    assert _odd(named) == {"tmp": State.REMOVED}
    (tmp_path / "tmp").write_text("1")
    assert _odd(_run(tmp_path, run.id)) == {}


def test_an_old_run_says_which_later_run_replaced_its_results(tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    assert _odd(_run(tmp_path, second)) == {}
    verification = _run(tmp_path, first)
    changed = [f for f in verification.findings if f.state is State.CHANGED]
    assert {f.path for f in changed} == {
        "results/svm.model",
        "results/svm.json",
        "results/summary.txt",
    }
    assert {f.note for f in changed} == {f"these bytes were made by run {second[:8]}"}


def test_a_clone_on_another_path_is_compared_with_the_first_record(tmp_path: Path) -> None:
    first, clone = tmp_path / "first", tmp_path / "clone"
    first.mkdir()
    run_id = study(first)
    shutil.copytree(first, clone, ignore=shutil.ignore_patterns(".repro"))
    assert _odd(_run(first, run_id, clone)) == {}
    (clone / "results/svm.json").write_text("other")
    (first / "results/svm.json").unlink()
    assert _odd(_run(first, run_id, clone)) == {"results/svm.json": State.CHANGED}


def test_named_files_are_compared_with_what_is_on_record_last(tmp_path: Path) -> None:
    study(tmp_path)
    study_again(tmp_path)
    index = open_index(tmp_path)
    names = ["results/svm.json", "data", "nowhere", str(tmp_path / "work/features.parquet")]
    verification = verify_files(index, names, tmp_path)
    assert {f.path: (f.state, f.role) for f in verification.findings} == {
        "data/Fe.dat": (State.IDENTICAL, Role.INPUT),
        "data/p.dat": (State.IDENTICAL, Role.INPUT),
        "nowhere": (State.UNKNOWN, None),
        "results/svm.json": (State.IDENTICAL, Role.OUTPUT),
        "work/features.parquet": (State.IDENTICAL, Role.OUTPUT),
    }
    assert (verification.differs, verification.undecided) == (False, True)


def test_the_directory_itself_stands_for_everything_below_it(tmp_path: Path) -> None:
    study(tmp_path)
    assert len(verify_files(open_index(tmp_path), ["."], tmp_path).findings) == 10


def test_what_cannot_be_read_is_undecided(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    target = tmp_path / "results/svm.json"
    target.unlink()
    target.symlink_to(target.name)  # to itself
    verification = _run(tmp_path, run_id)
    assert _odd(verification) == {"results/svm.json": State.UNREADABLE}
    assert (verification.differs, verification.undecided) == (False, True)


def test_files_whose_bytes_were_never_recorded_cannot_be_compared(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.end()
    digest = open_index(tmp_path).makers("a")[0].file.digest
    text = run.worker_file.read_text()
    run.worker_file.write_text(text.replace(f'"digest":"{digest}",', ""))
    (tmp_path / ".repro" / "index.sqlite").unlink()
    [finding] = _run(tmp_path, run.id).findings
    assert (finding.state, finding.note) == (State.UNKNOWN, "its bytes were not recorded")


def test_progress_ends_at_the_sum_of_all_sizes(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    told: list[tuple[int, int]] = []
    verify_run(open_index(tmp_path), run_id, tmp_path, lambda *step: told.append(step))
    size = sum(
        path.stat().st_size
        for top in ("data", "work", "results")
        for path in (tmp_path / top).iterdir()
    )
    assert told[-1] == (size, size)


@pytest.mark.parametrize("name", ["a b", "new\nline", "[red]x[/red]", "\udcff"])
def test_odd_names_are_compared_like_any(tmp_path: Path, name: str) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={name: "1"})
    run.end()
    (tmp_path / name).write_text("2")
    assert _odd(_run(tmp_path, run.id)) == {name: State.CHANGED}
