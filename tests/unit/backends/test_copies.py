"""Copies are what the record says, and come from below one directory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from snakemake_repro.backends.copies import copy_code, copy_recorded
from snakemake_repro.backends.files import observe
from snakemake_repro.records import FileRecord


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A directory with files in it, and one to copy to."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (tmp_path / "outside.txt").write_text("outside")
    (source / "a.txt").write_text("a")
    (source / "tree/sub").mkdir(parents=True)
    (source / "tree/sub/b.txt").write_text("b")
    return source, target


def _record(source: Path, name: str) -> FileRecord:
    return observe(source / name, root=source)


def test_files_and_directories_are_copied(places: tuple[Path, Path]) -> None:
    source, target = places
    (source / "tree/.snakemake_timestamp").touch()
    assert copy_recorded(_record(source, "a.txt"), source, target)
    assert copy_recorded(_record(source, "tree"), source, target)
    assert copy_recorded(_record(source, "tree/sub/b.txt"), source, target), "there already"
    assert sorted(path.name for path in target.rglob("*")) == ["a.txt", "b.txt", "sub", "tree"]


def test_other_bytes_are_not_copied(places: tuple[Path, Path]) -> None:
    source, target = places
    file, tree = _record(source, "a.txt"), _record(source, "tree")
    (source / "a.txt").write_text("other")
    (source / "tree/new").touch()
    assert not copy_recorded(file, source, target)
    assert not copy_recorded(tree, source, target)
    assert not copy_recorded(dataclasses.replace(file, path="gone"), source, target)
    assert not copy_recorded(dataclasses.replace(file, digest=None), source, target)
    assert list(target.iterdir()) == []


def test_nothing_from_outside_is_copied(places: tuple[Path, Path], tmp_path: Path) -> None:
    source, target = places
    outside = _record(source, "../outside.txt")
    (source / "link.txt").symlink_to(tmp_path / "outside.txt")
    (source / "links").mkdir()
    (source / "links/link.txt").symlink_to(tmp_path / "outside.txt")
    for path in (
        str(tmp_path / "outside.txt"),
        "../outside.txt",
        "tree/../../outside.txt",
        "link.txt",
    ):
        assert not copy_recorded(dataclasses.replace(outside, path=path), source, target), path
    assert not copy_recorded(_record(source, "links"), source, target)
    assert not copy_code("link.txt", source, target)
    assert list(target.iterdir()) == []


def test_a_link_to_a_file_inside_is_copied_as_that_file(places: tuple[Path, Path]) -> None:
    source, target = places
    (source / "link.txt").symlink_to("a.txt")
    assert copy_recorded(_record(source, "link.txt"), source, target)
    assert not (target / "link.txt").is_symlink()
    assert (target / "link.txt").read_text() == "a"


def test_a_file_where_a_directory_is_gets_no_copy(places: tuple[Path, Path]) -> None:
    source, target = places
    (target / "tree").write_text("a file")
    assert not copy_recorded(_record(source, "tree/sub/b.txt"), source, target)
