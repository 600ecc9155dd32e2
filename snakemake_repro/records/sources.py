"""Where the code of a run comes from: version control and the files outside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from snakemake_repro.records._fields import Record
from snakemake_repro.records.digests import Digest


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GitState(Record):
    """A git work tree at one moment.

    Attributes:
        commit: Object id of HEAD; ``None`` in a repository without a commit.
        tree: Object id of HEAD's tree.
        url: Remote ``origin`` with any credentials removed; ``None`` without a remote.
        branch: Branch name, or ``None`` when detached.
        dirty: Tracked files differ from HEAD, or the workflow uses untracked files.
        diff: Unified diff against HEAD with secrets redacted, untracked workflow files as new
            files; ``None`` when clean or when larger than the limit.
        diff_digest: Digest of the complete diff, also when it was too large to keep.
        untracked: Untracked files that the workflow uses.
        submodules: Commits that are checked out in submodules, by path.
        note: What could not be found out and why, e.g. git refuses to read somebody else's
            repository; ``dirty`` is then true, because nothing says otherwise.
    """

    commit: str | None = None
    tree: str | None = None
    url: str | None = None
    branch: str | None = None
    dirty: bool = False
    diff: str | None = None
    diff_digest: Digest | None = None
    untracked: tuple[str, ...] = ()
    submodules: Mapping[str, str] = dataclasses.field(default_factory=dict)
    note: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Source(Record):
    """One place that workflow code was read from.

    Attributes:
        uri: Path or URL, without credentials.
        role: ``workflow`` for the main repository, ``module`` for module/use-rule sources,
            ``wrapper`` for wrappers from outside.
        git: Its version control state; ``None`` says: not under git.
        digest: Digest of the source file itself where there is one.
    """

    uri: str
    role: str
    git: GitState | None = None
    digest: Digest | None = None
