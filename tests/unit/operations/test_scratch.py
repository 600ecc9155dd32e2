"""What a repeat reads comes from where the run was, and goes nowhere but into its own directory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from repositories import git

from snakemake_repro.backends.files import observe
from snakemake_repro.errors import UsageError
from snakemake_repro.operations.scratch import Scratch, make_scratch
from snakemake_repro.records import GitState, Source, WorkflowRun


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


def test_only_what_follows_the_program_may_not_name_the_directory(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "Snakefile").write_text("rule a:\n    output: 'a'\n    shell: 'touch a'\n")
    git(work, "init", "-q")
    git(work, "add", "Snakefile")
    git(work, "commit", "-qm", "begin")
    state = GitState(commit=git(work, "rev-parse", "HEAD"))

    def run(*arguments: str) -> WorkflowRun:
        return WorkflowRun(
            id="a" * 32,
            name="work",
            started="2026-01-01",
            command=(f"{work}/.venv/bin/snakemake", *arguments),
            sources=(Source(uri="Snakefile", role="workflow", git=state),),
        )

    scratch = make_scratch(run("--cores", "1"), [], work, tmp_path / "first")
    assert (scratch.root / "Snakefile").is_file()
    with pytest.raises(UsageError, match="command or configuration name"):
        make_scratch(run("--directory", f"{work}/there"), [], work, tmp_path / "second")
