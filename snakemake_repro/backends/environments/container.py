"""An image on this node as an environment: found by its digest, pulled once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.environments.flock import locked
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.canonical import digest_of, digest_of_text
from snakemake_repro.logic.containers import passed
from snakemake_repro.logic.images import ImageLock, ImageName
from snakemake_repro.records import EnvironmentKind, EnvironmentRecord, EnvironmentSpec

ENVIRONMENT_TAG = "ContainerEnvironment/1"
"""Raise the number whenever the same image would be another environment."""


class ContainerEnvironment:
    """An image that the engine has; a ``RealisedEnvironment``."""

    def __init__(self, engine: Engine, record: EnvironmentRecord, *, said: str) -> None:
        """Remember the parts.

        Args:
            engine: That has the image.
            record: What it is.
            said: What there is to say about its pull, for the log of the job that waited for it.
        """
        self.engine = engine
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
    engine: Engine, spec: EnvironmentSpec, *, root: Path, log: Path
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
    reference = _reference(spec, engine.facts.platform)
    found, said = engine.image_id(reference), ""
    if found is None:
        root.mkdir(parents=True, exist_ok=True)
        key = digest_of_text(reference).value[:16]
        with locked(root / f"pull-{key}.lock"):
            found = engine.image_id(reference)
            if found is None:
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text(f"Pulling {reference}\n", encoding="utf-8")
                started = time.monotonic()
                engine.pull(reference)
                found = engine.image_id(reference)
                said = f"Pulled {reference} in {time.monotonic() - started:.1f} s\n"
    digest = reference.partition("@")[2]
    record = EnvironmentRecord(
        digest=digest_of(ENVIRONMENT_TAG, [digest, engine.facts.platform]),
        kind=EnvironmentKind.CONTAINER,
        pinned=True,
        name=spec.name,
        platform=engine.facts.platform,
        lock=spec.lock,
        image=reference,
        image_id=found,
        engine=engine.facts.name,
    )
    return ContainerEnvironment(engine, record, said=said)


def _reference(spec: EnvironmentSpec, place: str) -> str:
    """Return what the engine calls the image, by its digest."""
    if spec.image is not None:
        return spec.image
    if spec.lock_text is None or spec.lock is None:
        raise EnvironmentSpecError(f"the container {spec.name} came without its lock")
    image = ImageName.parse(spec.name)
    lock = ImageLock.parse(spec.lock_text, name=spec.lock.path)
    return image.at(lock.digest(image.text, place, name=spec.lock.path))
