"""Container images: how a workflow names them, and the lock that says which bytes a name means."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from snakemake_repro.errors import EnvironmentSpecError, RecordError
from snakemake_repro.logic.builds import Build
from snakemake_repro.records import Digest

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""The kernel's name of a machine -> what images are for."""

SCHEME = "docker://"
VERSION = 1
_HEADER = (
    "# Container images by digest, made by `repro lock`. Commit this file. It holds until\n"
    "# `repro lock --upgrade`, wherever a tag may have moved meanwhile.\n"
)
_REPOSITORY = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/|\[[0-9A-Fa-f:]+\](?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LATEST = "latest"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImageName:
    """An image as a rule names it.

    Attributes:
        repository: Name without tag and digest; one without a host is the engine's to complete.
        tag: ``latest`` where the rule names none; it says nothing beside a digest.
        digest: Of a manifest, or of an index of manifests for several platforms.
    """

    repository: str
    tag: str
    digest: Digest | None = None

    @classmethod
    def parse(cls, address: str) -> ImageName:
        """Parse what stands in a rule's ``container:``.

        Raises:
            EnvironmentSpecError: It is no image of a registry.
        """
        if not address.startswith(SCHEME):
            raise EnvironmentSpecError(
                f"the container {address!r} is no image of a registry: expected an address that "
                f"begins with {SCHEME}",
                hint="Push the image to a registry, also a private one, and name it as "
                f"{SCHEME}HOST/NAME:TAG; or name a Dockerfile.",
            )
        rest, at, digest = address.removeprefix(SCHEME).partition("@")
        head, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:  # the colon of a port
            head, tag = rest, _LATEST
        if not _REPOSITORY.fullmatch(head) or not _TAG.fullmatch(tag):
            raise EnvironmentSpecError(
                f"the container {address!r} is not the address of an image: expected "
                f"{SCHEME}[HOST[:PORT]/]NAME[:TAG][@sha256:...]",
                hint="Names are in lower case.",
            )
        try:
            return cls(repository=head, tag=tag, digest=Digest.parse(digest) if at else None)
        except RecordError as exc:
            raise EnvironmentSpecError(
                f"the container {address!r} has a digest that is none: {exc.message}",
                hint="`repro lock` finds the digest of a tag.",
            ) from exc

    @property
    def text(self) -> str:
        """Repository and tag, as locks and engines have it."""
        return f"{self.repository}:{self.tag}"

    @property
    def host(self) -> str | None:
        """The registry that the name itself says; ``None`` where the engine completes it."""
        first, slash, _ = self.repository.partition("/")
        named = slash and (set(first) & set(".:") or first == "localhost")
        return first if named else None

    def at(self, digest: Digest) -> str:
        """Return what an engine calls the image by a digest."""
        return f"{self.repository}@{digest}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImageLock:
    """The digests that names of images mean.

    Attributes:
        images: ``repository:tag`` -> platform (``linux/amd64``) -> digest. Platforms of one image
            may share a digest: that of the index which names the manifests of all of them.
        builds: Path of a Dockerfile from the directory of the Snakefile -> what came out.
    """

    images: Mapping[str, Mapping[str, Digest]] = dataclasses.field(
        default_factory=lambda: MappingProxyType({})
    )
    builds: Mapping[str, Build] = dataclasses.field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, text: str, *, name: str) -> ImageLock:
        """Read a lock.

        Args:
            text: Its content.
            name: Of the file, for messages.

        Raises:
            EnvironmentSpecError: It is none, or a newer version of this package made it.
        """
        import yaml

        try:
            data = yaml.safe_load(text)
            version = data["version"]
            images = {
                str(image): {str(place): Digest.parse(digest) for place, digest in found.items()}
                for image, found in data["images"].items()
            }
            builds = {str(k): Build.parse(found) for k, found in data.get("builds", {}).items()}
        except (yaml.YAMLError, RecordError, KeyError, TypeError, AttributeError) as exc:
            problem = " ".join(str(exc).split())
            raise EnvironmentSpecError(
                f"{name} is no lock of container images: {problem}",
                hint="Take it from version control, or remove it: `repro lock` makes it anew.",
            ) from exc
        if version != VERSION:
            raise EnvironmentSpecError(
                f"{name} has version {version!r}, expected {VERSION}",
                hint="A newer version of snakemake-executor-plugin-ray made it: install that one.",
            )
        return cls(images=images, builds=builds)

    def to_text(self) -> str:
        """Return the lock as its file has it: the same for the same content."""
        lines = [f"version: {VERSION}", "images:" if self.images else "images: {}"]
        for image, platforms in sorted(self.images.items()):
            lines.append(f"  {json.dumps(image)}:")
            lines += [f"    {place}: {digest}" for place, digest in sorted(platforms.items())]
        lines += ["builds:"] if self.builds else []
        for name, build in sorted(self.builds.items()):
            lines += [f"  {json.dumps(name)}:", *(f"    {line}" for line in build.lines())]
        return _HEADER + "\n".join(lines) + "\n"

    def only(self, image: str) -> ImageLock:
        """Return the part that a job of one image needs."""
        return ImageLock(images={image: self.images[image]})

    def only_build(self, name: str) -> ImageLock:
        """Return the part that a job of one Dockerfile's image needs."""
        return ImageLock(builds={name: self.builds[name]})

    def with_image(self, image: str, platforms: Mapping[str, Digest]) -> ImageLock:
        """Return the lock with one image added or moved."""
        return dataclasses.replace(self, images={**self.images, image: dict(platforms)})

    def with_build(self, name: str, build: Build) -> ImageLock:
        """Return the lock with the image of one Dockerfile added or moved."""
        return dataclasses.replace(self, builds={**self.builds, name: build})

    def digest(self, image: str, place: str, *, name: str) -> Digest:
        """Return the digest of an image for a platform.

        Raises:
            EnvironmentSpecError: The image is not locked for it.
        """
        platforms = self.images.get(image, {})
        if place not in platforms:
            raise EnvironmentSpecError(
                f"{name} has the container {image} for "
                f"{', '.join(sorted(platforms)) or 'nothing'}, this node's engine runs {place}",
                hint="Run on nodes of another platform, or name an image that is for this one.",
            )
        return platforms[place]


def platform_of(found: Mapping[str, Any]) -> str:
    """Return a platform as locks have it, of one as registries describe it."""
    parts = [found.get("os") or "linux", found.get("architecture") or "amd64"]
    if found.get("variant") and found["variant"] != "v8":  # the only one of arm64
        parts.append(found["variant"])
    return "/".join(parts)


def moved(old: ImageLock, new: ImageLock) -> tuple[tuple[str, str | None, str | None], ...]:
    """Name the images whose digest changed: name, old digest, new digest, shortened."""
    before, after = _digests(old), _digests(new)
    return tuple(
        (image, _shown(before.get(image)), _shown(after.get(image)))
        for image in sorted(before.keys() | after.keys())
        if before.get(image) != after.get(image)
    )


def _digests(lock: ImageLock) -> dict[str, Mapping[str, Digest]]:
    built = {
        name: {place: image.id for place, image in build.images.items()}
        for name, build in lock.builds.items()
    }
    return {**lock.images, **built}


def _shown(platforms: Mapping[str, Digest] | None) -> str | None:
    if platforms is None:
        return None
    return ", ".join(
        sorted({f"{digest.algorithm}:{digest.short}" for digest in platforms.values()})
    )
