"""An image on this node as an environment: found by its digest, pulled once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

from snakemake_repro.backends.environments.flock import locked
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.interfaces import ContainerEngine
from snakemake_repro.logic.canonical import digest_of, digest_of_text
from snakemake_repro.logic.containers import passed
from snakemake_repro.logic.images import ImageLock, ImageName
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentRecord, EnvironmentSpec

ENVIRONMENT_TAG = "ContainerEnvironment/1"
"""Raise the number whenever the same image would be another environment."""


class ContainerEnvironment:
    """An image that the engine has; a ``RealisedEnvironment``."""

    def __init__(
        self, engine: ContainerEngine, record: EnvironmentRecord, *, image: str, said: str
    ) -> None:
        """Remember the parts.

        Args:
            engine: That has the image.
            record: What it is.
            image: What the engine calls it.
            said: What there is to say about its pull, for the log of the job that waited for it.
        """
        self.engine = engine
        self.image = image
        self.said = said
        self._record = record

    @property
    def record(self) -> EnvironmentRecord:
        """Which image it is."""
        return self._record

    @property
    def python(self) -> str:
        """The first on the image's own search path."""
        return "python"

    @property
    def programs(self) -> None:
        """Those that are found on ``PATH``."""

    @property
    def directories(self) -> tuple[str, ...]:
        """None on this node."""
        return ()

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the little that a container gets of the host; the image has its own."""
        return passed(base)


def realise(
    engine: ContainerEngine, spec: EnvironmentSpec, *, root: Path, log: Path
) -> ContainerEnvironment:
    """Return the image that a spec asks for, pulling it first if the engine does not have it.

    Args:
        engine: Of this node.
        spec: Of a container.
        root: Directory for locks between the processes of this node.
        log: Says what is being waited for.

    Raises:
        EnvironmentSpecError: The lock does not have the image for this platform.
        EnvironmentBuildError: The image cannot be had.
    """
    wanted = _wanted(spec, engine.facts.platform)
    found, said = _found(engine, wanted), ""
    if found is None:
        reference = _pullable(wanted, spec)
        root.mkdir(parents=True, exist_ok=True)
        key = digest_of_text(reference).value[:16]
        with locked(root / f"pull-{key}.lock"):
            found = _found(engine, wanted)
            if found is None:
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text(f"Pulling {reference}\n", encoding="utf-8")
                started = time.monotonic()
                engine.pull(reference)
                found = (reference, engine.image_id(reference))
                said = f"Pulled {reference} in {time.monotonic() - started:.1f} s\n"
    image, image_id = found
    record = EnvironmentRecord(
        digest=digest_of(ENVIRONMENT_TAG, [str(wanted.identity), engine.facts.platform]),
        kind=EnvironmentKind.CONTAINER,
        pinned=wanted.reference is not None,
        name=spec.name,
        platform=engine.facts.platform,
        lock=spec.lock,
        image=wanted.reference,
        image_id=image_id,
        engine=engine.facts.name,
    )
    return ContainerEnvironment(engine, record, image=image, said=said)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """An image that a job is to run in.

    Attributes:
        identity: The digest that tells it from others.
        reference: Its name by its digest, with which any node can pull it.
        built: What an engine calls it that built it.
    """

    identity: Digest
    reference: str | None
    built: str | None = None


def _wanted(spec: EnvironmentSpec, place: str) -> _Wanted:
    if spec.image is not None:
        return _Wanted(identity=_digest(spec.image), reference=spec.image)
    if spec.lock_text is None or spec.lock is None:
        raise EnvironmentSpecError(f"the container {spec.name} came without its lock")
    lock = ImageLock.parse(spec.lock_text, name=spec.lock.path)
    if spec.name in lock.builds:
        one = lock.builds[spec.name].image(place, name=spec.name)
        return _Wanted(identity=one.id, reference=one.pushed, built=str(one.id))
    image = ImageName.parse(spec.name)
    digest = lock.digest(image.text, place, name=spec.lock.path)
    return _Wanted(identity=digest, reference=image.at(digest))


def _digest(reference: str) -> Digest:
    return Digest.parse(reference.partition("@")[2])


def _found(engine: ContainerEngine, wanted: _Wanted) -> tuple[str, str | None] | None:
    """Return how an engine that has the image calls it, and its id."""
    for name in filter(None, (wanted.built, wanted.reference)):
        if (known := engine.image_id(name)) is not None:
            return name, known
    return None


def _pullable(wanted: _Wanted, spec: EnvironmentSpec) -> str:
    if wanted.reference is None:
        raise EnvironmentBuildError(
            f"this node does not have the image {wanted.identity} of {spec.name}, and the lock "
            "names no registry that has it",
            hint="`repro lock --push HOST/NAME`, where it was built, puts it where nodes can pull "
            f"it; `repro lock --upgrade {spec.name}` builds another one.",
        )
    return wanted.reference
