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
    CONDA = "conda"
    CONTAINER = "container"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Package(Record):
    """One installed distribution.

    Attributes:
        name: Normalised name.
        version: Exact version.
        digests: SHA-256 of every file that the lock admits for it; empty on the host.
        build: Build string of a conda package; ``None`` for Python distributions.
        channel: Channel and platform of a conda package, without credentials.
    """

    name: str
    version: str
    digests: tuple[Digest, ...] = ()
    build: str | None = None
    channel: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentSpec(Record):
    """What a node needs to realise an environment; it travels with the job.

    Attributes:
        kind: How it comes to be on a node.
        name: How the workflow calls it: the path of the environment file, the address of the
            container image or the path of its Dockerfile, or ``host``.
        source: The environment file as asked for; ``None`` for host and containers.
        lock: The lock file; ``None`` for the host, and for an image that is named by its digest.
        lock_text: What of the lock a node needs, so that it needs no shared file system to have it.
        image: The image of a container by its digest: ``repository@sha256:...``.
    """

    kind: EnvironmentKind
    name: str
    source: FileRecord | None = None
    lock: FileRecord | None = None
    lock_text: str | None = None
    image: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentRecord(Record):
    """An environment as it was realised on a node and as jobs ran in it.

    Attributes:
        digest: Identity: digest of the resolved content (interpreter, platform and the sorted
            packages with their file digests; for a container its platform and manifest digest, or
            the id of an image that was built from a Dockerfile), never of the lock file's text.
        pinned: Another machine can resolve the digest to the same bytes. Never true for the host,
            nor for an image that was built and not pushed to a registry, nor where a package was
            built from source.
        name: As in the spec.
        platform: Of wheels such as ``linux-x86_64``, of conda packages such as ``linux-64``, of
            images such as ``linux/amd64``.
        python: Full version of the interpreter, e.g. ``3.11.7``; ``None`` without Python, and for
            containers, into which nobody looks.
        interpreter: SHA-256 of the interpreter's file; not part of the identity, because builds of
            one version differ from node to node.
        packages: What is installed, sorted by name; empty for containers.
        image: The image that ran, by its manifest digest: ``repository@sha256:...``; ``None`` for
            one that was built and not pushed to a registry.
        image_id: What the engine calls the image: the digest of its configuration, or, with the
            containerd image store, of its manifest.
        engine: The container engine and its version.
        built: Names of packages that were built from source on the node. Their digests are those of
            the source archives; which files came out is in no lock.
    """

    digest: Digest
    kind: EnvironmentKind
    pinned: bool
    name: str
    platform: str
    python: str | None = None
    interpreter: Digest | None = None
    source: FileRecord | None = None
    lock: FileRecord | None = None
    packages: tuple[Package, ...] = ()
    image: str | None = None
    image_id: str | None = None
    engine: str | None = None
    built: tuple[str, ...] = ()
