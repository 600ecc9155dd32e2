"""One commit of a repository, with its files and without its history, as one file."""

from __future__ import annotations

from pathlib import Path

from snakemake_repro.backends.git import GitError, Runner
from snakemake_repro.errors import StorageError

_REF = "refs/heads/recorded"
_LOCAL = ("-c", "protocol.file.allow=always")


def write_bundle(repository: Path, commit: str, out: Path) -> None:
    """Write a commit that is checked out into a bundle.

    Args:
        repository: A clone that is nobody else's: it forgets the history of the commit.
        commit: The commit.
        out: Where to write, absolute.

    Raises:
        StorageError: Git failed to do it.
    """
    from git import Git

    here = Runner(Git, repository)
    try:
        (repository / ".git" / "shallow").write_text(f"{commit}\n", encoding="ascii")
        here.ask("update-ref", _REF, commit)
        here.ask("bundle", "create", "--quiet", str(out), _REF)
    except (GitError, OSError) as exc:
        raise StorageError(f"cannot bundle commit {commit[:12]}: {exc}") from exc


def read_bundle(bundle: Path, commit: str, target: Path) -> None:
    """Make a repository that has the commit of a bundle and nothing checked out.

    Args:
        bundle: Absolute path.
        commit: That it is to hold.
        target: A directory that is there and empty.

    Raises:
        StorageError: It is no bundle, or does not hold the commit.
    """
    from git import Git

    there = Runner(Git, target)
    try:
        there.ask("init", "--quiet")
        (target / ".git" / "shallow").write_text(f"{commit}\n", encoding="ascii")
        there.ask(*_LOCAL, "fetch", "--quiet", str(bundle), f"+{_REF}:{_REF}")
        there.ask("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}")
    except (GitError, OSError) as exc:
        raise StorageError(f"{bundle.name} does not hold commit {commit[:12]}: {exc}") from exc


def files_of(checkout: Path) -> tuple[str, ...]:
    """Return the files below a directory of a checkout, new ones too, relative to it.

    Raises:
        StorageError: Git failed to tell.
    """
    from git import Git

    try:
        listed = Runner(Git, checkout).ask("ls-files", "--cached", "--others", "-z")
    except GitError as exc:
        raise StorageError(f"cannot list the files of {checkout}: {exc}") from exc
    return tuple(sorted({name for name in listed.split("\0") if name}))
