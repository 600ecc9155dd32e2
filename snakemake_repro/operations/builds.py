"""Images of Dockerfiles: built by an engine, pushed where nodes find them, and locked."""

from __future__ import annotations

from collections.abc import Callable

from snakemake_repro.backends.containers.builder import build, push
from snakemake_repro.backends.containers.context import BuildContext
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.interfaces import ContainerEngine
from snakemake_repro.logic.builds import Build, BuiltImage, repository_name
from snakemake_repro.logic.images import ImageLock


def fits(lock: ImageLock, context: BuildContext) -> bool:
    """Tell whether a lock has the image of a Dockerfile as it is."""
    known = lock.builds.get(context.name)
    return known is not None and known.made_from(context.dockerfile, context.digest)


def build_locked(
    lock: ImageLock,
    context: BuildContext,
    *,
    engine: Callable[[], ContainerEngine],
    anew: bool = False,
    place: str | None = None,
) -> ImageLock:
    """Return a lock with the image of a Dockerfile, built now if it is not the one that is locked.

    Args:
        lock: As it is.
        context: The Dockerfile with its files.
        engine: Connects to an engine, which builds for its own platform.
        anew: Build it in any case; images for other platforms stay.
        place: Push it below this place of a registry, unless it is there.

    Raises:
        EnvironmentBuildError: No engine answers, or it cannot be built or pushed.
        StorageError: A file cannot be read.
    """
    current = fits(lock, context)
    if current and not anew and place is None:
        return lock
    connected = engine()
    if not isinstance(connected, Engine):
        raise EnvironmentBuildError(
            f"{context.name} is not built by {connected.facts.name}: Docker or Podman does that",
            hint="Lock it where one of them runs, with `repro lock --push HOST/NAME`.",
        )
    platform = connected.facts.platform
    images = dict(lock.builds[context.name].images) if current else {}
    if anew or platform not in images:
        images[platform] = BuiltImage(id=build(connected, context, fresh=anew))
    if place is not None:
        repository = f"{place.rstrip('/')}/{repository_name(context.name)}"
        one = images[platform]
        if not (one.pushed or "").startswith(f"{repository}@"):
            pushed = push(connected, one.id, repository)
            images[platform] = BuiltImage(id=one.id, pushed=pushed)
    made = Build(dockerfile=context.dockerfile, context=context.digest, images=images)
    return lock.with_build(context.name, made)
