"""A text file is written completely or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakemake_repro.backends.wholefiles import write_whole
from snakemake_repro.errors import StorageError


def test_it_replaces_what_was_there_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    for text in ("old", "new \N{SNOWMAN}"):
        write_whole(path, text, "the report")
    assert path.read_text(encoding="utf-8") == "new \N{SNOWMAN}"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_where_it_cannot_be_written_the_error_says_what(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match=r"cannot write the report .*taken: Is a directory"):
        write_whole(tmp_path / "taken", "text", "the report")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
