"""Research Object Crates on disk, written with the library for them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

from snakemake_repro.errors import StorageError
from snakemake_repro.logic.crate import METADATA, RO_CRATE_VERSION, ROOT, RUN_CONTEXT
from snakemake_repro.logic.jsonld import Entity

_DAWN = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip archive knows; it says nothing about the files."""


def write_metadata(directory: Path, entities: Iterable[Entity]) -> None:
    """Write the metadata of a crate into its directory.

    Raises:
        StorageError: It cannot be written.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version=RO_CRATE_VERSION)
    crate.metadata.extra_contexts.append(RUN_CONTEXT)
    own = {METADATA: crate.metadata, ROOT: crate.root_dataset}
    for entity in entities:
        said = {key: value for key, value in entity.items() if not key.startswith("@")}
        if entity["@id"] in own:
            for key, value in said.items():
                own[entity["@id"]][key] = value
        else:
            # also for files: they are in place, and their identifiers are paths already
            crate.add(ContextEntity(crate, entity["@id"], {"@type": entity["@type"], **said}))
    try:
        crate.metadata.write(directory)
    except OSError as exc:
        raise StorageError(f"cannot write {directory / METADATA}: {exc.strerror}") from exc


def write_zip(directory: Path, out: Path) -> None:
    """Write the files of a directory as a zip archive: the same for the same files.

    Raises:
        StorageError: It cannot be written.
    """
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    try:
        with zipfile.ZipFile(out, "w", compression=zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                name = os.fsdecode(os.fsencode(path.relative_to(directory)))
                info = zipfile.ZipInfo(name, _DAWN)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = (path.stat().st_mode & 0o777) << 16
                info.file_size = path.stat().st_size
                with path.open("rb") as source, archive.open(info, "w") as target:
                    while chunk := source.read(1 << 20):
                        target.write(chunk)
    except OSError as exc:
        raise StorageError(f"cannot write {out}: {exc.strerror}") from exc
