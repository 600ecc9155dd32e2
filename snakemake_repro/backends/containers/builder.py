"""Build images with an engine, and push them to a registry."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

from snakemake_repro.backends.containers.context import BuildContext
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.errors import EnvironmentBuildError, RecordError
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import Digest

_KEPT = "snakemake-repro/built"
"""What the engine calls images that were built: it prunes those without any name."""

_ERROR_LINES = 12


def build(engine: Engine, context: BuildContext, *, fresh: bool) -> Digest:
    """Build the image of a Dockerfile; return what the engine calls it.

    Args:
        engine: That builds it.
        context: From what.
        fresh: Take nothing from earlier builds, and look for newer images of what it is built on.

    Raises:
        EnvironmentBuildError: It cannot be built.
        StorageError: A file cannot be read.
    """
    what = f"the container {context.name} cannot be built"
    found, said = "", list[str]()
    with tempfile.TemporaryFile() as file, _digests(what), engine.errors(what):
        context.write(file)
        file.seek(0)
        steps = engine.client.api.build(
            fileobj=file,
            custom_context=True,
            dockerfile=context.file,
            rm=True,
            forcerm=True,
            nocache=fresh,
            pull=fresh,
            decode=True,
        )
        for step in steps:
            said += str(step.get("stream", "")).splitlines()
            if "error" in step:
                raise EnvironmentBuildError(_complaint(what, said, str(step["error"])))
            found = (step.get("aux") or {}).get("ID", found)
        image = Digest.parse(found)
        engine.client.images.get(found).tag(_KEPT, image.short)
    return image


def push(engine: Engine, image: Digest, repository: str) -> str:
    """Push an image of the engine; return its name by the digest that the registry has.

    Credentials are those of ``docker login``.

    Raises:
        EnvironmentBuildError: The engine does not have it, or the registry refuses.
    """
    what = f"the image {image} cannot be pushed to {repository}"
    if engine.image_id(str(image)) is None:
        raise EnvironmentBuildError(
            f"{what}: the engine here does not have it",
            hint="Push it where it was built; `repro lock --upgrade` builds another one here.",
        )
    digest = ""
    with _digests(what), engine.errors(what):
        engine.client.images.get(str(image)).tag(repository, image.short)
        steps = engine.client.api.push(repository, image.short, stream=True, decode=True)
        for step in steps:
            if "error" in step:
                raise EnvironmentBuildError(
                    f"{what}: {strip_credentials(' '.join(str(step['error']).split()))}",
                    hint="Does `docker login` know the registry, and may you push there?",
                )
            digest = (step.get("aux") or {}).get("Digest", digest)
        return f"{repository}@{Digest.parse(digest)}"


@contextlib.contextmanager
def _digests(what: str) -> Iterator[None]:
    try:
        yield
    except RecordError as exc:
        raise EnvironmentBuildError(
            f"{what}: the engine does not say what came out ({exc.message})",
            hint="Try a newer engine.",
        ) from exc


def _complaint(what: str, said: list[str], error: str) -> str:
    lines = [strip_credentials(line.rstrip()) for line in [*said, error] if line.strip()]
    return "\n  ".join([f"{what}:", *lines[-_ERROR_LINES:]])
