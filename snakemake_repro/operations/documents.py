"""Export a run as one file: its journal, PROV, OpenLineage events, in-toto statements."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from snakemake_repro.backends.index import Index
from snakemake_repro.backends.journal import encode
from snakemake_repro.backends.signatures import Signer
from snakemake_repro.backends.wholefiles import PUBLIC, replacing
from snakemake_repro.errors import NotFoundError, UsageError
from snakemake_repro.logic import attestations, openlineage, prov
from snakemake_repro.logic.history import unfold
from snakemake_repro.operations.publication import Publication, publication, unwritable
from snakemake_repro.records import MIN_PREFIX, Json


class Form(enum.Enum):
    """What a document is written as."""

    INTOTO = "intoto"
    PROV = "prov"
    OPENLINEAGE = "openlineage"
    JSONL = "jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A file that was written.

    Attributes:
        lines: How many; each holds one JSON object.
    """

    path: Path
    run_id: str
    form: Form
    lines: int
    signed: bool = False


def export_document(
    index: Index, run_id: str, form: Form, out: Path, *, key: Path | None = None
) -> Document:
    """Write a run as a file.

    Args:
        index: The record.
        run_id: The run.
        form: As what.
        out: The file; it must not be there yet.
        key: File with the private key that signs statements.

    Raises:
        UsageError: The place is taken, or the key cannot be used.
        NotFoundError: The run is not on record, or it has no result to make a statement of.
        StorageError: The file cannot be written.
    """
    if os.path.lexists(out):
        raise UsageError(f"{out} is there already, expected a name to write to")
    if key is not None and form is not Form.INTOTO:
        raise UsageError(f"a key is given for {form.value}, which is not signed")
    signer = None if key is None else Signer(key)
    lines = list(_lines(publication(index, run_id), form, signer))
    if not lines:
        raise NotFoundError(
            f"run {run_id[:MIN_PREFIX]} has no result that a statement could be made of"
        )
    _write(out, lines)
    return Document(path=out, run_id=run_id, form=form, lines=len(lines), signed=signer is not None)


def _lines(told: Publication, form: Form, signer: Signer | None) -> Iterator[bytes]:
    history, done = told.history, told.activities
    match form:
        case Form.JSONL:
            yield from map(encode, unfold(history))
        case Form.PROV:
            yield _line(prov.document(history, done))
        case Form.OPENLINEAGE:
            yield from map(_line, openlineage.events(history, done))
        case Form.INTOTO:
            for statement in attestations.statements(history, done):
                line = _line(statement)
                yield line if signer is None else _line(signer.sign(line.rstrip(b"\n")))


def _line(data: Json) -> bytes:
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii") + b"\n"


def _write(out: Path, lines: Iterable[bytes]) -> None:
    try:
        with replacing(out, PUBLIC) as file:
            file.writelines(lines)
    except OSError as exc:
        raise unwritable(out, exc) from exc
