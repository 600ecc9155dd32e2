"""A commit is checked out elsewhere, and the repository is left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import git

from snakemake_repro.backends.git import git_state
from snakemake_repro.backends.git_checkout import check_out, files_with
from snakemake_repro.errors import NotFoundError, StorageError

URL = "https://example.org/lab/study.git"


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working directory below the top of a repository with a commit and later changes."""
    root = tmp_path / "study"
    (root / "work").mkdir(parents=True)
    git(root, "init", "--quiet")
    (root / "work/Snakefile").write_text("rule a:\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    (root / "work/Snakefile").write_text("rule a:\nrule b:\n")
    (root / "work/new.py").write_text("x = 1\n")
    return root / "work"


def test_commit_and_changes_are_there_and_nothing_moved_here(work: Path, tmp_path: Path) -> None:
    state = git_state(work, used=[work / "new.py"])
    assert state is not None
    assert state.commit is not None
    status = git(work, "status", "--porcelain")
    inside = check_out(work, state.commit, tmp_path / "there", patch=state.diff, url=URL)
    assert inside == tmp_path / "there/work"
    assert (inside / "Snakefile").read_text() == "rule a:\nrule b:\n"
    assert (inside / "new.py").read_text() == "x = 1\n"
    assert git(inside, "config", "remote.origin.url") == URL
    assert git(work, "status", "--porcelain") == status
    clean = check_out(work, state.commit, tmp_path / "clean")
    assert (clean / "Snakefile").read_text() == "rule a:\n"
    assert git(clean, "remote") == ""


def test_files_that_hold_a_text_are_found_committed_or_not(work: Path) -> None:
    assert files_with(work, "rule b") == (work / "Snakefile",)
    assert files_with(work, "x = 1") == (work / "new.py",)
    assert files_with(work, ".*") == ()


def test_what_cannot_be_checked_out_is_said(work: Path, tmp_path: Path) -> None:
    commit = git(work, "rev-parse", "HEAD")
    with pytest.raises(NotFoundError, match="does not have commit ffff"):
        check_out(work, "f" * 40, tmp_path / "a")
    with pytest.raises(StorageError, match="cannot check out commit"):
        check_out(work, commit, tmp_path / "b", patch="--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(NotFoundError, match="is not in a git repository"):
        check_out(outside, commit, tmp_path / "c")
