"""Check signed statements, and the bytes on disk against them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from snakemake_repro.backends.files import observe
from snakemake_repro.backends.signatures import Verifier
from snakemake_repro.errors import RecordError, StorageError
from snakemake_repro.logic.attestations import Subject, subjects
from snakemake_repro.operations.verify import Finding, Role, State, Verification
from snakemake_repro.records import FileKind


def verify_statements(file: Path, key: Path, workdir: Path) -> Verification:
    """Check the signature of each statement in a file, and compare what it is about.

    Args:
        file: Signed statements, one a line.
        key: File with the public key.
        workdir: Where the files are that they are about.

    Raises:
        VerificationError: A signature is not valid.
        RecordError: The file holds anything else.
        UsageError: The key cannot be used.
        StorageError: A file cannot be read.
    """
    verifier = Verifier(key)
    found = [
        subject for envelope in _envelopes(file) for subject in subjects(verifier.open(envelope))
    ]
    if not found:
        raise RecordError(f"{file} holds no signed statement")
    return Verification(
        run_id=None, findings=tuple(_compared(subject, workdir) for subject in found)
    )


def _envelopes(file: Path) -> Iterator[dict[str, object]]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError as exc:
        raise StorageError(f"cannot read {file}: {exc.strerror}") from exc
    for number, line in enumerate(lines, start=1):
        try:
            envelope = json.loads(line)
        except ValueError as exc:
            raise RecordError(f"{file}, line {number}: not a JSON object ({exc})") from exc
        if not isinstance(envelope, dict):
            raise RecordError(f"{file}, line {number}: not a JSON object")
        yield envelope


def _compared(subject: Subject, workdir: Path) -> Finding:
    seen = observe(workdir / subject.path, root=workdir)
    state = State.CHANGED
    if seen.kind is FileKind.MISSING:
        state = State.MISSING
    elif seen.kind is FileKind.UNOBSERVED:
        state = State.UNREADABLE
    elif (seen.kind, seen.digest) == (subject.kind, subject.digest):
        state = State.IDENTICAL
    return Finding(
        path=subject.path,
        state=state,
        role=Role.OUTPUT,
        expected=subject.digest,
        found=seen.digest,
        size=seen.size,
    )
