"""A run retold says what was run, with what, and how to run it again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from recordings import CLEAN, LOOSE, PINNED, Recording, study, study_again

from snakemake_repro.backends.index import open_index
from snakemake_repro.logic.canonical import digest_of_text
from snakemake_repro.logic.retelling import methods, rerun_line
from snakemake_repro.operations.report import report
from snakemake_repro.records import GitState

DIRTY = dataclasses.replace(
    CLEAN, dirty=True, diff="+x\n", diff_digest=digest_of_text("+x\n"), url=None
)


def test_a_paragraph_for_a_paper(tmp_path: Path) -> None:
    study(tmp_path)
    run_id = study_again(tmp_path)
    text = methods(report(open_index(tmp_path), run_id))
    assert text == (
        "The workflow showers (commit 4e98fde0123456789abcdef0123456789abcdef0 of "
        "https://example.org/lab/showers.git) was run on 2026-03-02 with Snakemake 9.27.1, "
        "started from Debian GNU/Linux 12 (x86_64). It had 8 jobs, of which 3 were executed and "
        "5 were found up to date. Jobs ran in the environment learn.yaml (Python 3.11.7, pinned, "
        f"{PINNED.digest}). It started from 2 files that no job made. Every input and output was "
        f"identified by its SHA-256, which the record of the run ({run_id}) holds with parameters, "
        "seeds, environments and hosts."
    )


@pytest.mark.parametrize(
    ("git", "said"),
    [
        (None, "showers (not under version control) was run"),
        (GitState(commit=None), "showers (not under version control) was run"),
        (DIRTY, f"with uncommitted changes, {DIRTY.diff_digest}) was run"),
    ],
)
def test_code_that_was_not_committed_is_said_to_be(
    tmp_path: Path, git: GitState | None, said: str
) -> None:
    run = Recording(tmp_path, git=git)
    run.job("a", writes={"a": "1"}, environment=LOOSE)
    run.end()
    text = methods(report(open_index(tmp_path), run.id))
    assert said in text
    assert "It had 1 job, of which 1 was executed." in text
    assert "the host's own environment (Python 3.11.7, not pinned, sha256:" in text


def test_environments_whose_files_have_one_name_are_told_apart(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    for name in (
        "wrappers/a/train/environment.yaml",
        "wrappers/b/train/environment.yaml",
        "c.yaml",
    ):
        environment = dataclasses.replace(PINNED, name=name, digest=digest_of_text(name))
        run.job("r", wildcards={"n": name}, writes={f"out/{name}": name}, environment=environment)
    run.end()
    text = methods(report(open_index(tmp_path), run.id))
    assert "the environment a/train/environment.yaml (" in text
    assert "the environment b/train/environment.yaml (" in text
    assert "the environment c.yaml (" in text


def test_the_commands_that_repeat_a_run(tmp_path: Path) -> None:
    command = ["/opt/bin/snakemake", "--executor", "ray", "--config", "name=a b"]
    run = Recording(tmp_path, git=DIRTY, command=command)
    run.job("a", writes={"a": "1"})
    run.end()
    assert rerun_line(report(open_index(tmp_path), run.id)) == (
        f"git checkout {CLEAN.commit} && repro show {run.id[:8]} --diff | git apply && "
        "snakemake --executor ray --config 'name=a b'"
    )
