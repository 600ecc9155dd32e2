"""Isolation: what a job was closed off from, and what it did beyond its declarations."""

from __future__ import annotations

import dataclasses
import enum

from snakemake_repro.records._fields import Record
from snakemake_repro.records.digests import Digest


class IsolationMode(enum.Enum):
    """What becomes of a job that does more than its rule declares."""

    ENFORCE = "enforce"
    """It cannot, and fails."""

    REPORT = "report"
    """It may; the record names it."""

    OPEN = "open"
    """It may, where it is not closed off: it is not hermetic, and nobody looks."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BaseSystem(Record):
    """The system files below a hermetic job's environment: libc, shell, core utilities.

    Attributes:
        kind: ``host`` (the node's own) or ``directory`` (an unpacked root file system).
        name: The system by its own words, such as ``Debian GNU/Linux 12 (bookworm)``.
        path: The directory; ``None`` for the host.
        digest: Of all files of a directory; of the package manager's list on the host, ``None``
            where there is none.
        pinned: The digest names every byte. Never true for the host.
    """

    kind: str
    name: str
    path: str | None = None
    digest: Digest | None = None
    pinned: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Isolation(Record):
    """How a job was closed off.

    Attributes:
        means: The program that did it, with its version.
        closed: What the job could not see or reach, apart from what its rule declares.
        open: What it could: always the clock.
        base: The system files that it saw.
        traced: The program that watched for undeclared reads; ``None`` where none did, so that
            an undeclared read only shows in the job's own failure, without a name.
    """

    mode: IsolationMode
    means: str
    closed: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    base: BaseSystem | None = None
    traced: str | None = None
