"""Circumstances that should not decide a result, changed one at a time to see whether they do."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence

from snakemake_repro.logic.change import FileChange
from snakemake_repro.logic.commandline import without
from snakemake_repro.logic.made import Made
from snakemake_repro.logic.rebuilds import Rebuild, Rebuilt

_ADDRESS = "--ray-address"


class Variation(enum.Enum):
    """What is another than when the job ran before."""

    THREADS = "threads"
    HOSTNAME = "hostname"
    HASH_SEED = "hash-seed"
    TIME = "time"
    FILE_ORDER = "file-order"


_VARIABLES: Mapping[Variation | None, Mapping[str, str]] = {
    # Python orders sets by it
    Variation.HASH_SEED: {"PYTHONHASHSEED": "4057218"},
    # the clock is another one in any case; this zone needs no database of zones
    Variation.TIME: {"TZ": "VARIED-13:45", "SOURCE_DATE_EPOCH": "1234567890"},
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Flip:
    """A job that came out as recorded, until one thing was varied."""

    variation: Variation
    job: str
    outputs: tuple[FileChange, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Variations:
    """The same jobs under several circumstances.

    Attributes:
        base: With nothing varied.
        varied: With one thing varied each.
    """

    base: Rebuild
    varied: Mapping[Variation, Rebuild]

    @property
    def flips(self) -> tuple[Flip, ...]:
        """What decides a result although it should not."""
        steady = {
            job.job for job in self.base.jobs if job.came in (Rebuilt.IDENTICAL, Rebuilt.TOLERATED)
        }
        return tuple(
            Flip(variation=variation, job=job.job, outputs=job.outputs)
            for variation, rebuild in self.varied.items()
            for job in rebuild.jobs
            if job.job in steady and job.came in (Rebuilt.DIFFERENT, Rebuilt.FAILED)
        )

    @property
    def differs(self) -> bool:
        """At least one job did not give what it gave before."""
        return self.base.differs or bool(self.flips)

    @property
    def undecided(self) -> bool:
        """At least one job could not be tried."""
        return self.base.undecided or any(rebuild.undecided for rebuild in self.varied.values())


def variables(variation: Variation | None) -> Mapping[str, str]:
    """Return the environment variables that vary something."""
    return _VARIABLES.get(variation, {})


def apart(arguments: Sequence[str]) -> Iterator[str]:
    """Return arguments of Snakemake's command line without the cluster to join."""
    return without(arguments, lambda option: option == _ADDRESS)


def threads(made: Sequence[Made]) -> Iterator[str]:
    """Yield the arguments that give jobs another number of threads: one, or two instead of one."""
    recorded = {item.job.rule: item.record.spec.threads for item in made}
    yield "--set-threads"
    yield from (f"{rule}={2 if number == 1 else 1}" for rule, number in recorded.items())
