"""Open a crate that was exported, here or elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from snakemake_repro.backends.git_bundle import read_bundle
from snakemake_repro.backends.index import Index, index_of
from snakemake_repro.backends.journal import (
    RUN_ID,
    STORE_DIRECTORY,
    JournalStore,
    store_root,
)
from snakemake_repro.backends.unzip import holds, unzip
from snakemake_repro.errors import RecordError, UsageError
from snakemake_repro.operations.crate import BUNDLE, NOTE, NOTE_SCHEMA
from snakemake_repro.records import MIN_PREFIX

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OpenCrate:
    """A crate that can be asked, and whose run can be repeated.

    Attributes:
        root: Its directory, which is laid out as the run's working directory was.
        repository: The directory that corresponds in a repository with the run's commit.
    """

    index: Index
    run_id: str
    root: Path
    repository: Path


def is_crate(path: Path) -> bool:
    """Tell whether a directory or an archive is a crate that we exported."""
    note = f"{STORE_DIRECTORY}/{NOTE}"
    return (path / note).is_file() if path.is_dir() else holds(path, note)


@contextlib.contextmanager
def open_crate(path: Path) -> Iterator[OpenCrate]:
    """Give what is in a crate; nothing is written into it.

    Raises:
        UsageError: The run cannot be repeated from it: it holds no commit.
        RecordError: It is damaged.
        StorageError: It cannot be unpacked.
    """
    with tempfile.TemporaryDirectory(prefix="repro-", ignore_cleanup_errors=True) as name:
        place = Path(name).resolve()
        root = path
        if not path.is_dir():
            root = place / "crate"
            root.mkdir()
            unzip(path, root)
        run_id, commit, prefix = _note(root)
        if commit is None:
            raise UsageError(
                f"{path} holds no commit, and run {run_id[:MIN_PREFIX]} cannot be repeated from it",
                hint="Export it where its code is under version control.",
            )
        repository = place / "repository"
        repository.mkdir()
        read_bundle(store_root(root).resolve() / BUNDLE, commit, repository)
        (repository / prefix).mkdir(parents=True, exist_ok=True)
        yield OpenCrate(
            index=index_of(JournalStore(root)),
            run_id=run_id,
            root=root,
            repository=repository / prefix,
        )


def _note(root: Path) -> tuple[str, str | None, str]:
    """Return run, commit and where the working directory lies in the repository."""
    path = store_root(root) / NOTE
    try:
        note = json.loads(path.read_bytes())
        schema, run_id, commit, prefix = (
            note[key] for key in ("schema", "run", "commit", "prefix")
        )
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise RecordError(f"{path} cannot be read: {exc}") from exc
    if schema != NOTE_SCHEMA:
        raise RecordError(
            f"{path} has schema {schema!r}, expected {NOTE_SCHEMA}",
            hint="A newer version of snakemake-executor-plugin-ray made it: install that one.",
        )
    sound = (
        isinstance(run_id, str)
        and RUN_ID.fullmatch(run_id)
        and (commit is None or (isinstance(commit, str) and _COMMIT.fullmatch(commit)))
        and isinstance(prefix, str)
        and not prefix.startswith("/")
        and ".." not in PurePosixPath(prefix).parts
    )
    if not sound:
        raise RecordError(f"{path} does not say which run and commit the crate is of")
    return run_id, commit, prefix
