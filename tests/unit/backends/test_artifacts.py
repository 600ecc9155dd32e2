"""What a job leaves is kept, under names that go everywhere, and nothing that is not its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakemake_repro.backends.artifacts import keep
from snakemake_repro.records import FileKind


@pytest.fixture
def left(tmp_path: Path) -> Path:
    path = tmp_path / "left"
    path.mkdir()
    return path


def test_files_and_directories_move_and_are_hashed(left: Path, tmp_path: Path) -> None:
    (left / "a.txt").write_text("a")
    (left / "model").mkdir()
    (left / "model" / "MLmodel").write_text("x")
    kept, problems = keep(left, tmp_path / "kept" / "one")
    assert [(file.path, file.kind, file.size) for file in kept] == [
        ("a.txt", FileKind.FILE, 1),
        ("model", FileKind.DIRECTORY, 1),
    ]
    assert all(file.digest is not None for file in kept)
    assert problems == ()
    assert (tmp_path / "kept/one/model/MLmodel").read_text() == "x"
    assert list(left.iterdir()) == []


def test_nothing_left_leaves_nothing(left: Path, tmp_path: Path) -> None:
    assert keep(left, tmp_path / "kept") == ((), ())
    assert keep(tmp_path / "never made", tmp_path / "kept") == ((), ())
    assert not (tmp_path / "kept").exists()


def test_links_pipes_and_strange_names_are_dropped_and_named(left: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (left / "fine").mkdir()
    (left / "fine" / "link").symlink_to(tmp_path / "secret")
    (left / "folder").symlink_to(tmp_path)
    os.mkfifo(left / "pipe")
    (left / "100%#").write_text("x")
    (left / "a?b").mkdir()
    (left / "a?b" / "inside").write_text("x")
    Path(os.fsdecode(os.fsencode(left) + b"/\xff")).write_text("x")
    kept, problems = keep(left, tmp_path / "kept")
    assert [file.path for file in kept] == ["fine"]
    assert len(problems) == 6
    assert "artifact 'fine/link' was not kept: it is neither file nor directory" in problems
    assert any("'100%#'" in problem and "MLflow takes" in problem for problem in problems)
    assert [p.name for p in (tmp_path / "kept").rglob("*")] == ["fine"]
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_place_that_cannot_be_made_is_said(left: Path, tmp_path: Path) -> None:
    (left / "a.txt").write_text("a")
    (tmp_path / "kept").write_text("a file")
    kept, problems = keep(left, tmp_path / "kept" / "one")
    assert kept == ()
    assert problems == ("artifacts could not be kept: Not a directory",)
