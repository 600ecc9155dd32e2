"""Files as a Research Object Crate describes them: those that are in it, and those that are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from mimetypes import MimeTypes
from pathlib import PurePosixPath

from snakemake_repro.logic.jsonld import Entity, entity, local, path_id, readable
from snakemake_repro.records import Digest, FileKind, FileRecord

_TYPES = MimeTypes()  # what Python itself knows: this machine's own list has no say
_MORE = {
    ".ipynb": "application/x-ipynb+json",
    ".jsonl": "application/jsonl",
    ".lock": "text/plain",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".r": "text/x-r",
    ".smk": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_TEXT, _BINARY = "text/plain", "application/octet-stream"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A file in the crate that is no data of a job.

    Attributes:
        path: Relative to the crate.
        says: What it is.
    """

    path: str
    digest: Digest
    size: int
    says: str


class Shelf:
    """The files that a crate knows, each version of each once."""

    def __init__(self, kept: Mapping[str, FileRecord]) -> None:
        """Put up the files whose content is in the crate, by their paths in it."""
        self._kept = {(file.path, file.digest): path for path, file in kept.items()}
        self._known: dict[str, Entity] = {}

    def id(self, file: FileRecord) -> str:
        """Return the identifier of a file; from now on the crate describes it."""
        path = self._kept.get((file.path, file.digest))
        name = _absent_id(file) if path is None else path_id(path)
        if file.kind is FileKind.DIRECTORY:
            name += "/"
        if name not in self._known:
            self._known[name] = _described(file, name, inside=path is not None)
        return name

    def entities(self) -> Iterator[Entity]:
        """Yield what the crate says of them."""
        yield from self._known.values()

    def parts(self) -> Iterator[str]:
        """Yield the identifiers of those whose content is in the crate."""
        return (name for name in self._known if not name.startswith("#"))


def part_entity(part: Part) -> Entity:
    """Return what the crate says of a file that is no data of a job."""
    return entity(
        path_id(part.path),
        "File",
        name=readable(part.path),
        description=part.says,
        contentSize=str(part.size),
        sha256=part.digest.value,
        encodingFormat=encoding(part.path),
    )


def encoding(path: str) -> str:
    """Return the MIME type that a name stands for."""
    name = PurePosixPath(path)
    if name.name == "Snakefile":
        return _TEXT
    known = _MORE.get(name.suffix.lower())
    guessed, compressed = _TYPES.guess_type(name.name)
    return known or (guessed if guessed is not None and compressed is None else _BINARY)


def _absent_id(file: FileRecord) -> str:
    return local("file", "unknown" if file.digest is None else file.digest.value, file.path)


def _described(file: FileRecord, name: str, *, inside: bool) -> Entity:
    where = "" if inside else "Its content is not in this crate. "
    size = None if file.size is None else str(file.size)
    path = readable(file.path)
    if file.kind is FileKind.DIRECTORY:
        how = "Digest of names and contents, as snakemake-executor-plugin-ray makes it."
        return entity(
            name,
            "Dataset",
            name=path,
            description=where + how,
            identifier=None if file.digest is None else str(file.digest),
            contentSize=size,
        )
    return entity(
        name,
        "File",
        name=path,
        description=where.strip(),
        contentSize=size,
        sha256=None if file.digest is None else file.digest.value,
        encodingFormat=encoding(file.path),
    )
