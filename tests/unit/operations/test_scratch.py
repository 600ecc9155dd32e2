"""What a repeat reads comes from where the run was, and goes nowhere but into its own directory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from snakemake_repro.backends.files import observe
from snakemake_repro.operations.scratch import Scratch


def test_a_record_from_anywhere_cannot_write_elsewhere(tmp_path: Path) -> None:
    original, root = tmp_path / "a/original", tmp_path / "b/root"
    original.mkdir(parents=True)
    root.mkdir(parents=True)
    (tmp_path / "a/file").write_text("content")
    (original / "file").write_text("content")
    file = observe(original / "file", root=original)
    scratch = Scratch(root=root, original=original, home=original)
    odd = [dataclasses.replace(file, path=path) for path in ("../file", "x/../../file")]
    assert scratch.place((file, *odd)) == ("../file", "x/../../file")
    assert [path.name for path in (tmp_path / "b").rglob("*")] == ["root", "file"]
