"""A commit travels as one file, with its identity and without its history."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from snakemake_repro.backends.git_bundle import files_of, read_bundle, write_bundle
from snakemake_repro.backends.git_checkout import check_out
from snakemake_repro.errors import StorageError

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def _git(root: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *args], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits."""
    root = tmp_path / "repository"
    (root / "study").mkdir(parents=True)
    _git(root, "init", "--quiet")
    for text in ("SECRET OF OLD", "new"):
        (root / "study/Snakefile").write_text(text)
        _git(root, "add", ".")
        _git(root, "commit", "--quiet", "--message", text)
    return root


def test_a_commit_is_checked_out_of_a_bundle(repository: Path, tmp_path: Path) -> None:
    commit = _git(repository, "rev-parse", "HEAD")
    work = check_out(repository / "study", commit, tmp_path / "clone")
    (work / "new.txt").touch()
    assert files_of(work) == ("Snakefile", "new.txt")
    write_bundle(tmp_path / "clone", commit, tmp_path / "commit.bundle")
    other = tmp_path / "other"
    other.mkdir()
    read_bundle(tmp_path / "commit.bundle", commit, other)
    assert _git(other, "rev-list", "--all") == commit
    (other / "study").mkdir()
    again = check_out(other / "study", commit, tmp_path / "again")
    assert (again / "Snakefile").read_text() == "new"
    assert _git(again, "rev-parse", "HEAD") == commit
    with pytest.raises(StorageError, match="does not hold commit"):
        read_bundle(tmp_path / "commit.bundle", "0" * 40, _new(tmp_path / "third"))


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "commit.bundle").write_text("nothing")
    with pytest.raises(StorageError, match="does not hold commit"):
        read_bundle(tmp_path / "commit.bundle", "0" * 40, _new(tmp_path / "new"))


def _new(path: Path) -> Path:
    path.mkdir()
    return path
