r"""Digests of structured data: canonical JSON, tagged with type and scheme version.

The pre-image of a digest is ``<tag>\0<canonical JSON>``, where the tag names the type and the
version of the scheme (``JobSpec/1``), so that equal JSON of different types never collides and a
changed scheme never passes for the old one (after redun's ``hashing.md``). Canonical JSON is
UTF-8, keys sorted by code point, no insignificant space, floats in Python's shortest round-trip
form; it follows RFC 8785 except for the number format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from snakemake_repro.records import Digest, FileRecord, JobSpec, Json

JOB_KEY_TAG = "JobSpec/1"
"""Raise the number whenever the meaning of a job key changes; a test pins literal keys."""

_NOT_IN_KEY = ("source_name",)


def canonical_json(data: Json) -> bytes:
    """Return the one JSON text of the data.

    Raises:
        ValueError: The data holds NaN or an infinity.
        TypeError: The data is not JSON.
    """
    text = json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "surrogateescape")


def digest_of(tag: str, data: Json) -> Digest:
    """Return the digest of JSON data under a tag such as ``Environment/1``."""
    return Digest(hashlib.sha256(tag.encode() + b"\0" + canonical_json(data)).hexdigest())


def digest_of_text(text: str) -> Digest:
    """Return the plain SHA-256 of a text's UTF-8 bytes, as ``sha256sum`` would give it."""
    return Digest(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest())


def job_key(spec: JobSpec) -> Digest:
    """Return the job key: the digest of everything that determines the job's result.

    It is derived from the record's own fields, so key and record cannot drift apart. Of inputs
    the name, path and content count; of outputs name and path (their content is the result).
    """
    data = {k: v for k, v in spec.to_dict().items() if k not in _NOT_IN_KEY}
    data["inputs"] = _identities(spec.inputs, content=True)
    data["outputs"] = _identities(spec.outputs, content=False)
    return digest_of(JOB_KEY_TAG, data)


def _identities(files: Iterable[FileRecord], *, content: bool) -> list[Json]:
    return [
        [
            file.name,
            file.path,
            *([file.kind.value, str(file.digest) if file.digest else None] if content else []),
        ]
        for file in files
    ]
