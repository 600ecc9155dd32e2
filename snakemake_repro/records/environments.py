"""Environments: what was asked for, the lock that satisfies it, and what was realised."""

from __future__ import annotations

import dataclasses
import enum

from snakemake_repro.records._fields import Record
from snakemake_repro.records.digests import Digest
from snakemake_repro.records.files import FileRecord


class EnvironmentKind(enum.Enum):
    """How an environment comes to be on a node."""

    HOST = "host"
    PYPI = "pypi"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Package(Record):
    """One installed distribution.

    Attributes:
        name: Normalised name.
        version: Exact version.
        digests: SHA-256 of every file that the lock admits for it; empty on the host.
    """

    name: str
    version: str
    digests: tuple[Digest, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentSpec(Record):
    """What a node needs to realise an environment; it travels with the job.

    Attributes:
        kind: Host or pypi.
        name: How the workflow calls it: the path of the environment file, or ``host``.
        source: The environment file as asked for; ``None`` for the host.
        lock: The lock file beside it; ``None`` for the host.
        lock_text: The content of the lock, so that a node needs no shared file system to have it.
    """

    kind: EnvironmentKind
    name: str
    source: FileRecord | None = None
    lock: FileRecord | None = None
    lock_text: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentRecord(Record):
    """An environment as it was realised on a node and as jobs ran in it.

    Attributes:
        digest: Identity: digest of the resolved content (interpreter, platform and the sorted
            packages with their file digests), never of the lock file's text.
        pinned: Another machine can resolve the digest to the same bytes. Never true for the host.
        name: As in the spec.
        platform: Wheel platform such as ``linux-x86_64``.
        python: Full version of the interpreter, e.g. ``3.11.7``; ``None`` without Python.
        packages: What is installed, sorted by name.
    """

    digest: Digest
    kind: EnvironmentKind
    pinned: bool
    name: str
    platform: str
    python: str | None = None
    source: FileRecord | None = None
    lock: FileRecord | None = None
    packages: tuple[Package, ...] = ()
