"""One line about a run, for lists of runs."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunLine:
    """A run in a list.

    Attributes:
        status: As in ``RunEnd``; ``None`` while the run goes on or when its driver was killed.
        jobs: Jobs in all, however often each was tried; rules without outputs are not counted.
        reused: Jobs whose results were found up to date.
        failed: Jobs without an attempt that stands.
        under_git: The workflow is under version control.
        dirty: Its work tree differed from the commit; ``None`` outside of version control.
    """

    id: str
    name: str
    command: tuple[str, ...]
    user: str | None
    started: str
    finished: str | None
    status: str | None
    jobs: int
    reused: int
    failed: int
    under_git: bool
    commit: str | None
    dirty: bool | None
