"""What a run's code was, read from real repositories in all the states that people leave them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from repositories import git

from snakemake_repro.backends import git as module
from snakemake_repro.backends.git import git_state
from snakemake_repro.records import Digest, GitState


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clean repository with one commit."""
    root = tmp_path / "study"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    (root / "Snakefile").write_text("rule all:\n")
    (root / "scripts").mkdir()
    (root / "scripts" / "fit.py").write_text("x = 1\n")
    (root / ".gitignore").write_text("*.ignored\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def _state(directory: Path, *used: Path) -> GitState:
    state = git_state(directory, used=used)
    assert state is not None
    return state


def test_outside_of_git_there_is_no_state(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    assert git_state(tmp_path / "nothing") is None


def test_a_clean_tree_is_its_commit(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://me:secret@example.org/lab/study.git")
    assert _state(repository / "scripts", repository / "Snakefile") == GitState(
        commit=git(repository, "rev-parse", "HEAD"),
        tree=git(repository, "rev-parse", "HEAD^{tree}"),
        url="https://example.org/lab/study.git",
        branch="main",
    )


def test_a_changed_file_makes_the_tree_dirty_and_is_kept_as_a_diff(repository: Path) -> None:
    (repository / "scripts" / "fit.py").write_text("x = 2\n")
    state = _state(repository)
    assert state.dirty
    assert state.diff is not None
    assert state.diff.startswith("diff --git a/scripts/fit.py b/scripts/fit.py\n")
    assert "\n-x = 1\n+x = 2\n" in state.diff
    assert state.diff_digest == Digest(hashlib.sha256(state.diff.encode()).hexdigest())


def test_staged_and_deleted_files_count(repository: Path) -> None:
    (repository / "scripts" / "fit.py").write_text("x = 2\n")
    git(repository, "add", ".")
    (repository / "Snakefile").unlink()
    diff = _state(repository).diff
    assert diff is not None
    assert "+x = 2" in diff
    assert "deleted file mode" in diff


def test_the_diff_restores_the_tree(repository: Path, tmp_path: Path) -> None:
    (repository / "scripts" / "fit.py").write_text("x = 2\n")
    new = repository / "scripts" / "new script.py"
    new.write_text("y = 1\nno newline at the end")
    state = _state(repository, new)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    (tmp_path / "diff").write_text(state.diff or "")
    git(clone, "apply", str(tmp_path / "diff"))
    for name in ("scripts/fit.py", "scripts/new script.py"):
        assert (clone / name).read_bytes() == (repository / name).read_bytes()


def test_untracked_files_count_only_where_the_workflow_uses_them(repository: Path) -> None:
    (repository / "notes.txt").write_text("mine\n")
    used = repository / "scripts" / "new.py"
    used.write_text("y = 1\n")
    assert not _state(repository).dirty
    state = _state(repository, used, repository / "Snakefile", repository / "gone.py")
    assert state.dirty
    assert state.untracked == ("scripts/new.py",)
    assert state.diff is not None
    assert "+++ b/scripts/new.py\n@@ -0,0 +1 @@\n+y = 1\n" in state.diff
    assert "notes.txt" not in state.diff


def test_ignored_files_never_enter(repository: Path) -> None:
    ignored = repository / "password.ignored"
    ignored.write_text("hunter2\n")
    assert not _state(repository, ignored).dirty


def test_paths_are_found_through_links_and_from_anywhere(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(repository)
    (repository / "new.py").write_text("")
    monkeypatch.chdir(repository / "scripts")
    assert _state(tmp_path / "link", tmp_path / "link" / "new.py").untracked == ("new.py",)
    assert _state(Path(), Path("../new.py")).untracked == ("new.py",)
    assert _state(Path(), tmp_path / "elsewhere.py").untracked == ()


@pytest.mark.parametrize(
    "name", [".repro/journal/x.jsonl", ".snakemake/log/x", "mlflow.db", "mlruns/0/meta.yaml",
             "sub/mlflow.db", "sub/.repro/x"],
)  # fmt: skip
def test_what_recording_writes_itself_makes_no_tree_dirty(repository: Path, name: str) -> None:
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("one\n")
    assert not _state(repository, path).dirty
    git(repository, "add", "--force", name)
    git(repository, "commit", "--quiet", "--message", "by accident")
    path.write_text("two\n")
    assert not _state(repository).dirty


def test_binary_files_are_named_not_dumped(repository: Path) -> None:
    data = repository / "data.bin"
    data.write_bytes(b"\0one")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "data")
    data.write_bytes(b"\0secret-bytes")
    new = repository / "new.bin"
    new.write_bytes(b"\0secret-bytes")
    diff = _state(repository, new).diff
    assert diff is not None
    assert "Binary files a/data.bin and b/data.bin differ" in diff
    assert "Binary files /dev/null and b/new.bin differ" in diff
    assert "secret-bytes" not in diff


def test_text_that_is_not_utf8_fits_into_the_record(repository: Path) -> None:
    (repository / "Snakefile").write_bytes("# Universit\xe4t\n".encode("latin-1"))
    diff = _state(repository).diff
    assert diff is not None
    assert "+# Universit\\xe4t\n" in diff


def test_secrets_are_redacted_in_diff_and_address(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://example.org/hunter2/study.git")
    (repository / "Snakefile").write_text("password = 'hunter2'\n")
    state = git_state(repository, redact=lambda text: text.replace("hunter2", "***"))
    assert state is not None
    assert "+password = '***'" in (state.diff or "")
    assert state.url == "https://example.org/***/study.git"
    assert state.diff_digest == Digest(hashlib.sha256((state.diff or "").encode()).hexdigest())


def test_of_a_long_diff_only_the_digest_is_kept(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "Snakefile").write_text("x = 1\n" * 1_000)
    complete = _state(repository)
    monkeypatch.setattr(module, "MAX_DIFF", 1_000)
    cut = _state(repository)
    assert complete.diff is not None
    assert (cut.dirty, cut.diff, cut.diff_digest) == (True, None, complete.diff_digest)


def test_one_enormous_line_is_no_trouble(repository: Path) -> None:
    (repository / "Snakefile").write_bytes(b"x" * 20_000_000)
    state = _state(repository)
    assert state.dirty
    assert state.diff is None


def test_a_repository_without_a_commit_has_a_state(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    assert _state(tmp_path) == GitState(commit=None, branch="main")
    (tmp_path / "Snakefile").write_text("rule all:\n")
    git(tmp_path, "add", ".")
    state = _state(tmp_path)
    assert (state.commit, state.tree, state.dirty, state.note) == (None, None, True, None)
    assert "+rule all:" in (state.diff or "")


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    state = _state(repository)
    assert (state.branch, state.commit) == (None, git(repository, "rev-parse", "HEAD"))


def test_a_shallow_clone_knows_its_commit(repository: Path, tmp_path: Path) -> None:
    (repository / "Snakefile").write_text("rule b:\n")
    git(repository, "commit", "--quiet", "--all", "--message", "second")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", repository.as_uri(), str(clone))
    assert _state(clone).commit == git(repository, "rev-parse", "HEAD")


def test_a_second_work_tree_has_its_own_state(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(repository, "worktree", "add", "--quiet", "-b", "topic", str(other))
    (other / "Snakefile").write_text("rule other:\n")
    assert (_state(other).branch, _state(other).dirty) == ("topic", True)
    assert not _state(repository).dirty


def test_a_changed_submodule_shows(repository: Path, tmp_path: Path) -> None:
    git(
        repository, "-c", "protocol.file.allow=always",
        "submodule", "--quiet", "add", str(_library(tmp_path)), "lib",
    )  # fmt: skip
    git(repository, "commit", "--quiet", "--message", "library")
    tracked, untracked = repository / "lib" / "a.py", repository / "lib" / "new.py"
    untracked.write_text("")
    (repository / "own.py").write_text("")
    state = _state(repository, untracked, tracked, repository / "own.py")
    assert state.untracked == ("own.py",)
    assert state.submodules == {"lib": git(repository / "lib", "rev-parse", "HEAD")}
    tracked.write_text("a = 2\n")
    state = _state(repository)
    assert state.dirty
    assert "-dirty" in (state.diff or "")
    assert _state(repository / "lib").commit == git(repository / "lib", "rev-parse", "HEAD")


def _library(tmp_path: Path) -> Path:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "--quiet")
    (library / "a.py").write_text("a = 1\n")
    git(library, "add", ".")
    git(library, "commit", "--quiet", "--message", "library")
    return library


def test_a_bare_repository_is_no_work_tree(repository: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(bare))
    assert git_state(bare) is None
    assert git_state(repository / ".git") is None


def test_somebody_elses_repository_is_noted_not_read(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    state = _state(repository)
    assert (state.commit, state.dirty) == (None, True)
    assert state.note is not None
    assert "dubious ownership" in state.note
    assert str(repository) in state.note


def test_a_broken_repository_is_noted(repository: Path) -> None:
    (repository / ".git" / "index").write_bytes(b"nonsense")
    state = _state(repository)
    assert state.commit == git(repository, "rev-parse", "HEAD")
    assert state.dirty
    assert state.note is not None
    assert "index" in state.note


def test_a_work_tree_that_lost_its_repository_is_noted(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere/at/all\n")
    state = _state(tmp_path)
    assert state.note is not None
    assert "/nowhere/at/all" in state.note


def test_without_the_program_a_repository_is_noted(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _state(repository).note == "the program git was not found"


def test_where_the_program_never_was_a_repository_is_noted(
    repository: Path, tmp_path: Path
) -> None:
    # GitPython looks for it on import, so that this needs a fresh process
    code = (
        "import sys; from pathlib import Path; from snakemake_repro.backends.git import git_state; "
        "print([git_state(Path(p)) and git_state(Path(p)).note for p in sys.argv[1:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(repository / "scripts"), str(tmp_path)],
        # MLflow's client makes GitPython quiet, and tests before this one may have used it here
        env={**os.environ, "PATH": str(tmp_path), "GIT_PYTHON_REFRESH": "raise"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['the program git was not found', None]\n"


def test_nothing_that_a_repository_configures_is_run(repository: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        (hooks / hook).write_text(trap.read_text())
        (hooks / hook).chmod(0o755)
    (repository / ".gitattributes").write_text("*.py diff=trap\n")
    for setting in (
        "core.fsmonitor", "diff.external", "diff.trap.textconv", "diff.trap.command", "core.pager",
        "core.askPass", "core.sshCommand",
    ):  # fmt: skip
        git(repository, "config", setting, str(trap))
    (repository / "scripts" / "fit.py").write_text("x = 2\n")
    new = repository / "new.py"
    new.write_text("y = 1\n")
    (tmp_path / "sprung").unlink(missing_ok=True)
    state = _state(repository, new)
    assert "+x = 2" in (state.diff or "")
    assert "+y = 1" in (state.diff or "")
    assert not (tmp_path / "sprung").exists()


def test_reading_leaves_the_repository_as_it_was(repository: Path) -> None:
    def snapshot() -> dict[str, bytes]:
        files = (path for path in (repository / ".git").rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files}

    os.utime(repository / "Snakefile")  # git would like to refresh its index
    before = snapshot()
    _state(repository)
    assert snapshot() == before


def test_the_look_of_a_diff_does_not_depend_on_the_users_configuration(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "scripts" / "fit.py").write_text("x = 2\n")
    plain = _state(repository)
    config = tmp_path / "config"
    config.write_text(
        "[diff]\nnoprefix = true\nmnemonicPrefix = true\ncontext = 0\nalgorithm = patience\n"
        "relative = true\nrenames = copies\n[color]\nui = always\n[core]\nabbrev = 5\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert _state(repository / "scripts").diff == plain.diff


def test_a_run_from_within_a_hook_sees_the_directory_not_the_hooks_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _library(tmp_path)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    state = _state(repository)
    monkeypatch.undo()
    assert (state.commit, state.dirty) == (git(repository, "rev-parse", "HEAD"), False)


def test_a_program_that_hangs_is_given_up(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.3)
    state = _state(repository)
    assert state.note == "git took longer than 0.3 s or was killed"
