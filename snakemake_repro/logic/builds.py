"""Images that are built from a Dockerfile: how a rule names one, and what its lock pins."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Self

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.records import Digest

_NAMES = frozenset(("Dockerfile", "Containerfile"))


def is_dockerfile(address: str) -> bool:
    """Tell whether what stands in a rule's ``container:`` is the path of a Dockerfile."""
    name = PurePosixPath(address).name
    return "://" not in address and bool(_NAMES & {name.partition(".")[0], name.rpartition(".")[2]})


def repository_name(name: str) -> str:
    """Return what a registry calls the image of a Dockerfile: after its stem or its directory."""
    path = PurePosixPath(name)
    words = [word for word in path.name.split(".") if word not in _NAMES] or [path.parent.name]
    clean = "".join(c if c.isascii() and c.isalnum() else "-" for c in "-".join(words).lower())
    return "-".join(filter(None, clean.split("-"))) or "image"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BuiltImage:
    """What a build gave on one platform.

    Attributes:
        id: What the engine that built it calls it.
        pushed: ``repository@sha256:...`` where nodes can pull it; ``None`` for an image that only
            one engine has.
    """

    id: Digest
    pushed: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """The images of a Dockerfile, and what they were built from.

    Attributes:
        dockerfile: Digest of the file.
        context: Digest of all that the engine got for the build.
        images: Platform (``linux/amd64``) -> image.
    """

    dockerfile: Digest
    context: Digest
    images: Mapping[str, BuiltImage]

    @classmethod
    def parse(cls, data: Any) -> Self:
        """Read it from the data of a lock.

        Raises:
            RecordError: A digest is none.
            KeyError: Something is missing.
            TypeError: Something is of another kind.
            AttributeError: Likewise.
        """
        return cls(
            dockerfile=Digest.parse(data["dockerfile"]),
            context=Digest.parse(data["context"]),
            images={
                str(place): BuiltImage(id=Digest.parse(one["id"]), pushed=one.get("pushed"))
                for place, one in data["images"].items()
            },
        )

    def lines(self) -> Iterator[str]:
        """Yield the lines that a lock has of it."""
        yield f"dockerfile: {self.dockerfile}"
        yield f"context: {self.context}"
        yield "images:"
        for place, image in sorted(self.images.items()):
            yield f"  {place}:"
            yield f"    id: {image.id}"
            if image.pushed is not None:
                yield f"    pushed: {json.dumps(image.pushed)}"

    def made_from(self, dockerfile: Digest, context: Digest) -> bool:
        """Tell whether it was built from these."""
        return (self.dockerfile, self.context) == (dockerfile, context)

    @property
    def identity(self) -> str:
        """What a job depends on: a push changes nothing."""
        return "\n".join(f"{place} {image.id}" for place, image in sorted(self.images.items()))

    def image(self, place: str, *, name: str) -> BuiltImage:
        """Return the image for a platform.

        Args:
            place: The platform.
            name: Of the Dockerfile, for messages.

        Raises:
            EnvironmentSpecError: It was not built for it.
        """
        if place not in self.images:
            raise EnvironmentSpecError(
                f"the container {name} was built for {', '.join(sorted(self.images))}, this "
                f"node's engine runs {place}",
                hint=f"`repro lock --upgrade {name}` on a machine of that platform builds it for "
                "that as well.",
            )
        return self.images[place]
