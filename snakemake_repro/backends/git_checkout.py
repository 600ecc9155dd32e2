"""A commit checked out elsewhere, with the changes that were not committed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from snakemake_repro.backends.git import GitError, Runner
from snakemake_repro.errors import NotFoundError, StorageError

_LOCAL = ("-c", "protocol.file.allow=always")


def check_out(
    workdir: Path, commit: str, target: Path, *, patch: str | None = None, url: str | None = None
) -> Path:
    """Check a commit out of the repository that a directory belongs to; nothing is fetched.

    Objects are shared with that repository, which is not written to.

    Args:
        workdir: Anywhere in the repository.
        commit: The commit.
        target: A directory that is not there yet.
        patch: Unified diff to apply.
        url: Of the remote `origin`, as the run had it.

    Returns:
        The directory that corresponds to ``workdir``.

    Raises:
        NotFoundError: There is no repository, or it does not have the commit.
        StorageError: Git failed to do it.
    """
    try:
        from git import Git
    except ImportError as exc:  # GitPython looks for the program when it is imported
        raise NotFoundError("the program git was not found") from exc
    here = Runner(Git, workdir)
    top, place = here.line("rev-parse", "--show-toplevel"), here.line("rev-parse", "--show-prefix")
    if top is None:
        raise NotFoundError(
            f"{workdir} is not in a git repository, expected the one of the run",
            hint="Clone it, and start there: `repro` finds the record with --store.",
        )
    if here.line("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}") is None:
        raise NotFoundError(
            f"the repository {top} does not have commit {commit}", hint="Run `git fetch` first."
        )
    try:
        here.ask(*_LOCAL, "clone", "--quiet", "--shared", "--no-checkout", top, str(target))
        there = Runner(Git, target)
        if url is None:
            there.ask("remote", "remove", "origin")
        else:
            there.ask("remote", "set-url", "origin", url)
        there.ask("checkout", "--quiet", "--detach", commit)
        if patch:
            with tempfile.NamedTemporaryFile("w", suffix=".diff", errors="surrogateescape") as file:
                file.write(patch)
                file.flush()
                there.ask("apply", "--whitespace=nowarn", file.name)
    except GitError as exc:
        raise StorageError(
            f"cannot check out commit {commit[:12]} with the recorded changes: {exc}"
        ) from exc
    return target / (place or ".")


def files_with(workdir: Path, text: str) -> tuple[Path, ...]:
    """Return the files below a directory of a checkout in which a text stands.

    Raises:
        StorageError: Git failed to look.
    """
    from git import Git

    status, output, error = Runner(Git, workdir).run(
        "grep", "--untracked", "--files-with-matches", "--fixed-strings", "-z", "-e", text
    )
    if status > 1:
        raise StorageError(f"cannot search {workdir}: {error}")
    return tuple(workdir / os.fsdecode(name) for name in output.split(b"\0") if name)
