"""An archive of one image: written completely or not at all, the same bytes for the same image."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from snakemake_repro.backends.containers.layers import blob_of, neutral
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.image_archives import Blob, oci_manifest, tables


def write_archive(
    out: Path, config: bytes, layers: Sequence[tuple[Path, Blob]], *, tag: str | None, folder: Path
) -> tuple[Blob, Blob]:
    """Write an archive that engines load and tools for registries read.

    Args:
        out: Where it is to be.
        config: The image's configuration.
        layers: Its tars with what identifies them.
        tag: What an engine is to call it.
        folder: A directory of ours on the same file system.

    Returns:
        What identifies configuration and manifest.

    Raises:
        StorageError: It cannot be written.
    """
    blobs = [blob for _, blob in layers]
    try:
        known = _written(folder / "config.json", config)
        manifest = _written(folder / "manifest.json", oci_manifest(known, blobs))
        stored = {
            blob.place: path
            for path, blob in [
                *layers,
                (folder / "config.json", known),
                (folder / "manifest.json", manifest),
            ]
        }
        new = folder / "image.tar"
        with tarfile.open(new, "w", format=tarfile.GNU_FORMAT) as archive:
            for place, path in sorted(stored.items()):
                with path.open("rb") as file:
                    archive.addfile(neutral(place, path.stat().st_size), file)
            for place, text in sorted(tables(known, blobs, manifest, tag=tag).items()):
                archive.addfile(neutral(place, len(text)), io.BytesIO(text))
        new.replace(out)
    except OSError as exc:
        raise StorageError(
            f"cannot write the image {out}: {exc.strerror or exc}",
            hint="Free some space or mend the permissions.",
        ) from exc
    return known, manifest


def _written(path: Path, content: bytes) -> Blob:
    path.write_bytes(content)
    return blob_of(path)
