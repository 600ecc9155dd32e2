"""The version control state of a directory, read with git's own program through GitPython.

Reading never prompts, never fetches, takes no lock, and runs no hook and no file system monitor
that a repository configures.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import Digest, GitState

MAX_DIFF = 1_000_000
"""Characters of a diff that are kept; of a longer one the digest only."""

_TIMEOUT_S = 20.0
_DIFF_TIMEOUT_S = 120.0
_PATHS_AT_ONCE = 500
_CHUNK_BYTES = 1 << 16
_DIFFERS = 1
_NOT_CHECKED_OUT = "-"
_DESCRIBED = re.compile(r" \([^()]*\)$")
"""What `git submodule status` says behind a path: the nearest tag."""
_OURS = re.compile(
    r"(?:^|/)(?:\.repro|\.snakemake|mlruns|mlflow\.db(?:-journal|-wal|-shm)?)(?:/|$)"
)
_PATHS = (
    ":/",
    *(
        f":(exclude,top,glob)**/{name}"
        for name in (
            ".repro/**", ".snakemake/**", "mlruns/**",
            "mlflow.db", "mlflow.db-journal", "mlflow.db-wal", "mlflow.db-shm",
        )
    ),
)  # fmt: skip
_CONFIG = (
    "core.fsmonitor=",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "core.quotePath=true",
    "color.ui=false",
    "protocol.allow=never",
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_PAGER": "cat",
}
_MISLEADING = (
    # set while git runs a hook; they would speak of another repository than the directory's
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_INDEX_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
_DIFF = (
    "diff",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--no-relative",
    "--full-index",
    "--unified=3",
    "--diff-algorithm=myers",
    "--submodule=short",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)


class GitError(Exception):
    """Git did not answer; the message is its own, on one line."""


def git_state(
    directory: Path, *, used: Iterable[Path] = (), redact: Callable[[str], str] = str
) -> GitState | None:
    """Return the state of the work tree that a directory belongs to; ``None`` outside of git.

    The tree is dirty when tracked files differ from HEAD (in submodules, too) or when one of the
    used files is not tracked. Ignored files and what this software and MLflow write themselves
    count for nothing and never enter the diff. Where git does not answer, ``note`` says so.

    Args:
        directory: Anywhere in the work tree.
        used: Files that the workflow consists of; those outside of the tree are passed over.
        redact: Applied to each line of the diff.
    """
    if not directory.is_dir():
        return None
    try:
        from git import Git
    except ImportError:  # GitPython looks for the program when it is imported
        return _unread("the program git was not found") if _looks_versioned(directory) else None
    try:
        top = _top(Runner(Git, directory))
    except GitError as exc:
        return _unread(str(exc))
    if top is None:
        return None
    return _read(Runner(Git, top), top, used, redact)


def _read(git: Runner, top: Path, used: Iterable[Path], redact: Callable[[str], str]) -> GitState:
    commit = git.line("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    tree = git.line("rev-parse", "--quiet", "--verify", "HEAD^{tree}") if commit else None
    url = git.line("config", "--get", "remote.origin.url")
    branch = git.line("symbolic-ref", "--quiet", "--short", "HEAD")
    diff = _Diff(redact)
    untracked: list[str] = []
    submodules: dict[str, str] = {}
    note = None
    try:
        base = "HEAD" if commit else git.ask("hash-object", "-t", "tree", "/dev/null").strip()
        ignoring = "--ignore-submodules=untracked"
        git.stream(diff, *_DIFF, ignoring, base, "--", *_PATHS)
        untracked = _untracked(git, top, used)
        submodules = _submodules(git, top)
        for path in untracked:
            git.stream(diff, *_DIFF, "--no-index", "--", "/dev/null", path)
    except GitError as exc:
        note = str(exc)
    diff.finish()
    return GitState(
        commit=commit,
        tree=tree,
        url=redact(strip_credentials(url)) if url else None,
        branch=branch,
        dirty=bool(diff.length or untracked or note),
        diff=diff.text or None,
        diff_digest=diff.digest if diff.length else None,
        untracked=tuple(untracked),
        submodules=submodules,
        note=note,
    )


def _unread(reason: str) -> GitState:
    return GitState(commit=None, dirty=True, note=reason)


def _top(git: Runner) -> Path | None:
    """Return the top of the work tree, or ``None`` where nothing is under version control.

    Raises:
        GitError: There is a repository that git refuses or fails to read.
    """
    status, output, error = git.run("rev-parse", "--is-inside-work-tree")
    if status:
        if "not a git repository (or any" in error:
            return None
        raise GitError(_one_line(error))
    if output.strip() != b"true":
        return None  # a bare repository, or the inside of .git
    return Path(git.ask("rev-parse", "--show-toplevel").removesuffix("\n"))


def _untracked(git: Runner, top: Path, used: Iterable[Path]) -> list[str]:
    """Return those of the used files that git neither tracks nor ignores, relative to the top."""
    # `--show-toplevel` has links resolved; of the file only what leads to it, a link is content
    places = (Path(os.path.realpath(path.parent)) / path.name for path in used)
    inside = {
        path.relative_to(top).as_posix()
        for path in places
        if path.is_relative_to(top) and path.is_file()
    }
    wanted = sorted(path for path in inside if not _OURS.search(path))
    found: set[str] = set()
    for start in range(0, len(wanted), _PATHS_AT_ONCE):
        chunk = wanted[start : start + _PATHS_AT_ONCE]
        try:
            found |= _others(git, chunk)
        except GitError:
            # one path inside a submodule spoils the answer for all
            for path in chunk:
                try:
                    found |= _others(git, [path])
                except GitError:
                    continue
    return [path for path in wanted if path in found]


def _others(git: Runner, paths: Sequence[str]) -> set[str]:
    output = git.ask(
        "--literal-pathspecs", "ls-files", "--others", "--exclude-standard", "-z", "--", *paths
    )
    return set(output.split("\0"))


def _submodules(git: Runner, top: Path) -> dict[str, str]:
    """Return the commit of each submodule that is checked out, by path."""
    if not (top / ".gitmodules").is_file():
        return {}
    found = {}
    for line in git.ask("submodule", "status", "--recursive").splitlines():
        mark, commit, path = line[:1], *line[1:].split(" ", 1)
        if mark != _NOT_CHECKED_OUT:
            found[_DESCRIBED.sub("", path)] = commit
    return found


def _looks_versioned(directory: Path) -> bool:
    absolute = directory.absolute()
    return any((parent / ".git").exists() for parent in (absolute, *absolute.parents))


def _one_line(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "git failed")
    return f"git: {first.removeprefix('fatal: ').strip()}"


class Runner:
    """Runs git in one directory, within a time limit and without surprises."""

    def __init__(self, git: Any, directory: Path) -> None:
        self._git = git(str(directory))
        present = [name for name in _MISLEADING if name in os.environ]
        options = [word for name in present for word in ("-u", name)]
        self._command = [
            # GitPython can add to the environment but not take away
            *(["env", *options] if options else []),
            "git",
            "--no-pager",
            *(word for setting in _CONFIG for word in ("-c", setting)),
        ]

    def run(self, *arguments: str, sink: _Diff | None = None) -> tuple[int, bytes, str]:
        """Return exit status, output and error output.

        Raises:
            GitError: The program is not there or took too long.
        """
        from git.exc import GitCommandNotFound

        timeout = _TIMEOUT_S if sink is None else _DIFF_TIMEOUT_S
        try:
            status, output, error = self._git.execute(
                [*self._command, *arguments],
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                output_stream=sink,
                max_chunk_size=_CHUNK_BYTES,
                kill_after_timeout=timeout,
                env=_ENVIRONMENT,
            )
        except GitCommandNotFound as exc:
            raise GitError("the program git was not found") from exc
        if status < 0:
            raise GitError(f"git took longer than {timeout:g} s or was killed")
        return status, output, error

    def ask(self, *arguments: str) -> str:
        """Return the output.

        Raises:
            GitError: Git failed.
        """
        status, output, error = self.run(*arguments)
        if status:
            raise GitError(_one_line(error))
        return os.fsdecode(output)

    def line(self, *arguments: str) -> str | None:
        """Return the one line of output, or ``None`` when git has no answer."""
        try:
            return self.ask(*arguments).strip() or None
        except GitError:
            return None

    def stream(self, sink: _Diff, *arguments: str) -> None:
        """Pass the output of ``git diff`` on.

        Raises:
            GitError: Git failed.
        """
        status, _, error = self.run(*arguments, sink=sink)
        if status not in (0, _DIFFERS):
            raise GitError(_one_line(error))


class _Diff:
    r"""Takes the bytes of a diff of any length: redacts, digests, keeps the beginning.

    Bytes that are not UTF-8 are kept as ``\xNN``: the text must fit into any store.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._rest: list[bytes] = []
        self._kept: list[str] = []
        self._sha256 = hashlib.sha256()
        self.length = 0

    def write(self, data: bytes) -> int:
        """Take a piece."""
        first, *others = data.split(b"\n")
        self._rest.append(first)
        for start in others:
            self._take(b"".join(self._rest) + b"\n")
            self._rest = [start]
        return len(data)

    def finish(self) -> None:
        """Take what is left after the last piece."""
        if rest := b"".join(self._rest):
            self._take(rest)
        self._rest = []

    @property
    def text(self) -> str | None:
        """The diff, or ``None`` when it is too long."""
        return "".join(self._kept) if self.length <= MAX_DIFF else None

    @property
    def digest(self) -> Digest:
        """The SHA-256 of the complete redacted diff in UTF-8."""
        return Digest(self._sha256.hexdigest())

    def _take(self, raw: bytes) -> None:
        line = self._redact(raw.decode("utf-8", "backslashreplace"))
        self._sha256.update(line.encode("utf-8", "surrogatepass"))
        self.length += len(line)
        if self.length <= MAX_DIFF:
            self._kept.append(line)
        else:
            self._kept.clear()
