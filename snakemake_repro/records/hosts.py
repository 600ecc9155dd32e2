"""The machine a job ran on, and what it used of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from snakemake_repro.records._fields import Record


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Gpu(Record):
    """One graphics processor as its driver describes it."""

    model: str
    memory_mb: int | None = None
    driver: str | None = None
    uuid: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Host(Record):
    """Hardware and system software of a node.

    Attributes:
        id: Stable within a run: the node's name and boot identifier, shortened.
        memory_mb: Physical memory in MiB.
        libraries: Versions of what results depend on below Python (``libc``, ``cuda``).
    """

    id: str
    name: str
    os: str
    kernel: str
    machine: str
    cpu: str | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    gpus: tuple[Gpu, ...] = ()
    libraries: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ResourceUse(Record):
    """What one attempt used, from ``wait4`` of its process tree, or from its container's cgroup.

    Attributes:
        wall_s: Monotonic duration in seconds.
        cpu_user_s: User CPU seconds of all waited-for descendants.
        cpu_system_s: System CPU seconds likewise.
        max_rss_mb: Peak resident set of the largest single process, in MiB; in a container the
            peak of all its memory.
        read_mb: Block input in MiB.
        written_mb: Block output in MiB.
    """

    wall_s: float
    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    max_rss_mb: float | None = None
    read_mb: float | None = None
    written_mb: float | None = None

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds, user and system."""
        return None if self.cpu_user_s is None else self.cpu_user_s + (self.cpu_system_s or 0)
