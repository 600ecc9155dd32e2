"""What an image is built on: a root file system, an archive of an image, or an image by digest."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snakemake_repro.backends.basesystem import NOT_FILES
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.containers.layers import blob_of, write_layer
from snakemake_repro.errors import EnvironmentSpecError, RecordError
from snakemake_repro.logic.image_archives import BLOBS, INDEX, MANIFEST, Blob
from snakemake_repro.logic.images import SCHEME, ImageName
from snakemake_repro.records import Digest, Json

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """The lower part of an image.

    Attributes:
        layers: Tars with what identifies them, the lowest first.
        config: How its containers are started, as in the configuration of an image.
    """

    layers: Sequence[tuple[Path, Blob]] = ()
    config: Mapping[str, Json] = dataclasses.field(default_factory=lambda: MappingProxyType({}))


def open_base(
    named: str, workdir: Path, machine: str, folder: Path, *, engine: Callable[[], Engine]
) -> Base:
    """Return what a name stands for.

    Args:
        named: A directory with an unpacked root file system, the archive of one image, or the name
            of an image with its digest.
        workdir: Where paths begin.
        machine: The platform that it is to be for, as images call it.
        folder: Where its layers are put.
        engine: Connects to an engine, which is asked for an image by name.

    Raises:
        EnvironmentSpecError: It is none of these, or not for the platform.
        EnvironmentBuildError: The image cannot be had.
        StorageError: It cannot be read, or its layers cannot be written.
    """
    path = workdir / named
    if path.is_dir():
        if not any((path / place).exists() for place in ("bin/sh", "usr/bin/sh")):
            raise EnvironmentSpecError(
                f"{path} is no root file system: expected bin/sh in it",
                hint="Name the directory that the root file system was unpacked into.",
            )
        layer = folder / "base.tar"
        return Base(layers=[(layer, write_layer(path, layer, hidden=NOT_FILES))])
    if not path.is_file():
        image = _image(named)
        path = folder / "saved.tar"
        engine().save(image, path)
    try:
        with tarfile.open(path) as archive:
            return _archived(archive, named, machine, folder)
    except (tarfile.TarError, KeyError, TypeError, ValueError, RecordError, zlib.error) as exc:
        raise EnvironmentSpecError(
            f"{named} is no archive of an image: {' '.join(str(exc).split())}",
            hint="`docker save`, `podman save` and skopeo write one.",
        ) from exc


def _image(named: str) -> str:
    image = ImageName.parse(SCHEME + named.removeprefix(SCHEME))
    if image.digest is None:
        raise EnvironmentSpecError(
            f"the base {named} is neither a directory nor an archive, and no image by its digest: "
            "another image could come out tomorrow",
            hint=f"Name it as {image.repository}@sha256:...; `repro lock` finds the digest of a "
            "tag.",
        )
    return image.at(image.digest)


def _archived(archive: tarfile.TarFile, named: str, machine: str, folder: Path) -> Base:
    config_place, layer_places = _places(archive, named, machine)
    config = _json(archive, config_place)
    if config["architecture"] != machine:
        raise EnvironmentSpecError(
            f"the base {named} is for {config['architecture']}, the image is to be for {machine}",
            hint="Name a base for the same platform, or another --platform.",
        )
    digests = [Digest.parse(text) for text in config["rootfs"]["diff_ids"]]
    layers = []
    for number, (place, digest) in enumerate(zip(layer_places, digests, strict=True)):
        layer = folder / f"base-{number}.tar"
        _unpack(archive, place, layer)
        blob = blob_of(layer)
        if blob.digest != digest:
            raise EnvironmentSpecError(
                f"the base {named} is damaged: its layer {place} has {blob.digest}, expected "
                f"{digest}",
                hint="Make or fetch the archive anew.",
            )
        layers.append((layer, blob))
    return Base(layers=layers, config=config.get("config") or {})


def _places(archive: tarfile.TarFile, named: str, machine: str) -> tuple[str, list[str]]:
    """Return where an archive of either kind has an image's configuration and layers."""
    if MANIFEST in archive.getnames():
        saved = _one(_json(archive, MANIFEST), named)
        return saved["Config"], saved["Layers"]
    document = _json(archive, INDEX)
    while "manifests" in document:
        entries = [
            entry
            for entry in document["manifests"]
            if entry.get("platform", {}).get("architecture", machine) == machine
        ]
        document = _json(archive, _blob(_one(entries, named)))
    return _blob(document["config"]), [_blob(layer) for layer in document["layers"]]


def _one(images: Sequence[Any], named: str) -> Any:
    if len(images) != 1:
        raise EnvironmentSpecError(
            f"the base {named} holds {len(images)} images that fit, expected one",
            hint="Save one image into it.",
        )
    return images[0]


def _blob(descriptor: Mapping[str, Any]) -> str:
    digest = Digest.parse(descriptor["digest"])
    return f"{BLOBS}/{digest.algorithm}/{digest.value}"


def _json(archive: tarfile.TarFile, place: str) -> Any:
    file = archive.extractfile(place)
    if file is None:
        raise ValueError(f"{place} is no file")
    with file:
        return json.load(file)


def _unpack(archive: tarfile.TarFile, place: str, out: Path) -> None:
    file = archive.extractfile(place)
    if file is None:
        raise ValueError(f"{place} is no file")
    with file, out.open("wb") as target:
        head = file.read(len(_ZSTD))
        file.seek(0)
        if head == _ZSTD:
            raise ValueError("its layers are compressed with zstd, expected gzip or none")
        if head.startswith(_GZIP):
            with gzip.open(file) as unpacked:
                shutil.copyfileobj(unpacked, target)
        else:
            shutil.copyfileobj(file, target)
