"""The documents of an image in an archive: made of its layers alone, without a time or a machine.

One archive holds them for both kinds of reader: a layout of the Open Container Initiative, and what
`docker save` writes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from snakemake_repro.logic.canonical import canonical_json
from snakemake_repro.records import Digest, Json

MANIFEST, INDEX, LAYOUT = "manifest.json", "index.json", "oci-layout"
BLOBS = "blobs"

_OCI = "application/vnd.oci.image"
_CREATED = "1970-01-01T00:00:00Z"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES = {"linux-64": "amd64", "linux-aarch64": "arm64", "linux-ppc64le": "ppc64le"}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """One file of an image, by its content."""

    digest: Digest
    size: int

    @property
    def place(self) -> str:
        """Where it is in an archive."""
        return f"{BLOBS}/{self.digest.algorithm}/{self.digest.value}"


def architecture(place: str) -> str:
    """Return what images call a platform of conda."""
    return _ARCHITECTURES.get(place, place.removeprefix("linux-"))


def image_config(
    layers: Sequence[Blob],
    *,
    machine: str,
    path: str,
    variables: Mapping[str, str],
    labels: Mapping[str, str],
    base: Mapping[str, Json] = MappingProxyType({}),
) -> bytes:
    """Return the configuration of an image; its SHA-256 is what engines call the image.

    Args:
        layers: Tars, the lowest first.
        machine: For which it is, as images call it.
        path: What comes first in the search path.
        variables: To set beside it.
        labels: To add.
        base: The configuration part of the image below, of which all else is kept.
    """
    given = base.get("Env") or []
    env = dict(str(pair).partition("=")[::2] for pair in given) if isinstance(given, list) else {}
    env |= {**variables, "PATH": f"{path}:{env.get('PATH') or _PATH}"}
    known = base.get("Labels") or {}
    return canonical_json(
        {
            "architecture": machine,
            "os": "linux",
            "created": _CREATED,
            "config": {
                **base,
                "Env": [f"{name}={value}" for name, value in sorted(env.items())],
                "Labels": {**(known if isinstance(known, dict) else {}), **labels},
            },
            "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]},
        }
    )


def oci_manifest(config: Blob, layers: Sequence[Blob]) -> bytes:
    """Return the manifest of an image whose layers are not compressed."""
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": _descriptor(config, "config.v1+json"),
            "layers": [_descriptor(layer, "layer.v1.tar") for layer in layers],
        }
    )


def tables(
    config: Blob, layers: Sequence[Blob], manifest: Blob, *, tag: str | None
) -> dict[str, bytes]:
    """Return the files that say what an archive holds, by their place.

    Args:
        config: Of the image.
        layers: Likewise.
        manifest: Likewise.
        tag: What an engine is to call it when it loads it.
    """
    entry = _descriptor(manifest, "manifest.v1+json")
    if tag is not None:
        entry["annotations"] = {
            "io.containerd.image.name": tag,
            "org.opencontainers.image.ref.name": tag.rpartition(":")[2],
        }
    index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": [entry]}
    saved = {
        "Config": config.place,
        "RepoTags": None if tag is None else [tag],
        "Layers": [layer.place for layer in layers],
    }
    return {
        LAYOUT: canonical_json({"imageLayoutVersion": "1.0.0"}),
        INDEX: canonical_json(index),
        MANIFEST: canonical_json([saved]),
    }


def _descriptor(blob: Blob, kind: str) -> dict[str, Json]:
    return {"mediaType": f"{_OCI}.{kind}", "digest": str(blob.digest), "size": blob.size}
