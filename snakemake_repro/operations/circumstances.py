"""Where and how jobs are executed again."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from snakemake_repro.backends.bubblewrap import under_hostname
from snakemake_repro.logic.made import Made
from snakemake_repro.logic.variations import Variation, apart, threads, variables

_TMPFS = Path("/dev/shm")  # noqa: S108 - directories in it are made with random names
_HOSTNAME = "varied"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What jobs meet that are executed again.

    Attributes:
        alone: They run on this machine, on a cluster of their own: workers of one that runs already
            would not see what is varied.
        variation: What is another than before.
    """

    alone: bool = False
    variation: Variation | None = None

    @property
    def backwards(self) -> bool:
        """Whether files are put in the reverse order."""
        return self.variation is Variation.FILE_ORDER

    @property
    def parent(self) -> Path | None:
        """Where scratch directories lie: a tmpfs lists files in the order in which they came."""
        return _TMPFS if self.backwards else None

    @property
    def obstacle(self) -> str | None:
        """Why they cannot be had here, if so."""
        if self.parent is None or _is_tmpfs(self.parent):
            return None
        return f"files are listed in another order on a tmpfs only, and {self.parent} is none here"

    @property
    def variables(self) -> Mapping[str, str | None]:
        """Environment variables, ``None`` for those that are not to be there."""
        return {**({"RAY_ADDRESS": None} if self.alone else {}), **variables(self.variation)}

    @property
    def through(self) -> list[str]:
        """What starts Snakemake.

        Raises:
            IsolationError: It is not there.
        """
        return under_hostname(_HOSTNAME) if self.variation is Variation.HOSTNAME else []

    def arguments(self, before: Sequence[str], items: Sequence[Made]) -> tuple[str, ...]:
        """Return the arguments of Snakemake's command line, given those of before."""
        more = threads(items) if self.variation is Variation.THREADS else ()
        return (*(apart(before) if self.alone else before), *more)


AS_BEFORE = Circumstances()


def _is_tmpfs(path: Path) -> bool:
    """Tell whether a directory is a tmpfs that may be written to."""
    mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    kinds = {fields[1]: fields[2] for fields in map(str.split, mounts)}
    return kinds.get(str(path)) == "tmpfs" and os.access(path, os.W_OK)
