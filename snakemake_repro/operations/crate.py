"""Export a run as a Research Object Crate: code, record, data, and what ties them together."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from snakemake_repro.backends.copies import copy_code, copy_recorded
from snakemake_repro.backends.files import hash_file
from snakemake_repro.backends.git_bundle import files_of, write_bundle
from snakemake_repro.backends.git_checkout import check_out
from snakemake_repro.backends.index import Index
from snakemake_repro.backends.journal import STORE_DIRECTORY, encode, journal_root, store_root
from snakemake_repro.backends.research_object import write_metadata, write_zip
from snakemake_repro.errors import NotFoundError, UsageError
from snakemake_repro.logic.crate import METADATA, README, About, Content, describe, readme
from snakemake_repro.logic.crate_files import Part
from snakemake_repro.logic.history import results, unfold
from snakemake_repro.logic.redaction import is_redacted
from snakemake_repro.logic.repeats import arguments_of, source_of
from snakemake_repro.operations.publication import Publication, publication, unwritable
from snakemake_repro.records import MIN_PREFIX, FileKind, FileRecord, GitState, WorkflowRun

NOTE, BUNDLE = "crate.json", "commit.bundle"
NOTE_SCHEMA = 1
ZIP = ".zip"

_RESERVED = (STORE_DIRECTORY, ".git", METADATA)
_LICENSES = ("LICENSE", "LICENCE", "COPYING")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Crate:
    """A crate that was written.

    Attributes:
        files: Data of jobs whose content is in it.
        left_out: Data that it describes only.
        obstacle: Why its run cannot be repeated from it alone; ``None`` if it can.
    """

    path: Path
    run_id: str
    files: int
    left_out: tuple[str, ...]
    obstacle: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Code:
    """The workflow's files in the crate."""

    paths: tuple[str, ...]
    bundled: bool
    prefix: str = ""


def export_crate(
    index: Index,
    run_id: str,
    workdir: Path,
    out: Path,
    about: About,
    *,
    data: bool = True,
    limit: int | None = None,
) -> Crate:
    """Write a run as a directory, or as an archive where the name ends in ``.zip``.

    Args:
        index: The record.
        run_id: The run.
        workdir: Its working directory, where its files still are.
        out: What to write; it must not be there yet.
        about: What the record does not know.
        data: Take the content of what jobs read and wrote along.
        limit: Size in bytes of the largest file whose content is taken along; ``None`` for any.

    Raises:
        UsageError: The place is taken, or the Snakefile is not there as it was recorded.
        NotFoundError: The run is not on record.
        StorageError: Something cannot be read or written.
    """
    if os.path.lexists(out):
        raise UsageError(f"{out} is there already, expected a name to write to")
    told = publication(index, run_id)
    with _stage(out) as folder:
        stage = folder / "crate"
        stage.mkdir()
        code = _put_code(told.history.run, workdir, stage, folder)
        workflow = _workflow(told.history.run, code)
        wanted = functools.partial(_wanted, data=data, limit=limit)
        kept, left_out = _put_data(told, workdir, stage, wanted)
        _put_record(told, code, stage)
        if README not in code.paths:
            (stage / README).write_text(readme(told.history), encoding="utf-8")
        parts = tuple(_parts(code, stage))
        content = Content(
            workflow=workflow,
            parts=parts,
            kept=kept,
            license=next((one for one in code.paths if _is_license(one)), None),
        )
        write_metadata(stage, describe(told.history, told.activities, content, about))
        ready = stage
        if out.suffix == ZIP:
            ready = folder / "crate.zip"
            write_zip(stage, ready)
        try:
            ready.rename(out)
        except OSError as exc:
            raise unwritable(out, exc) from exc
    return Crate(
        path=out,
        run_id=run_id,
        files=len(kept),
        left_out=left_out,
        obstacle=_obstacle(told.history.run, code),
    )


def _obstacle(run: WorkflowRun, code: _Code) -> str | None:
    try:
        source_of(run)
        arguments_of(run)
    except UsageError as exc:
        return exc.message
    if not code.bundled:
        return f"the commit of run {run.id[:MIN_PREFIX]} is not in the repository here"
    return None


@contextlib.contextmanager
def _stage(out: Path) -> Iterator[Path]:
    """Give a directory beside what is to be written, and remove it with all that is left in it."""
    try:
        made = tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as exc:
        raise unwritable(out, exc) from exc
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made)


def _put_code(run: WorkflowRun, workdir: Path, stage: Path, folder: Path) -> _Code:
    """Put the workflow into the crate: from its commit, or else what is here unchanged."""
    git = run.git
    if git is None or git.commit is None:
        return _put_sources(run, workdir, stage)
    checkout = folder / "checkout"
    try:
        root = check_out(workdir, git.commit, checkout, patch=_patch(git), url=git.url)
    except NotFoundError:
        return _put_sources(run, workdir, stage)
    names = [name for name in files_of(root) if not _reserved(name)]
    paths = tuple(name for name in names if copy_code(name, root, stage))
    store_root(stage).mkdir()
    write_bundle(checkout, git.commit, store_root(stage) / BUNDLE)
    prefix = root.relative_to(checkout).as_posix()
    return _Code(paths=paths, bundled=True, prefix="" if prefix == "." else prefix)


def _patch(git: GitState) -> str | None:
    """Return the uncommitted changes, unless a secret was taken out of them."""
    return None if git.diff is None or is_redacted(git.diff) else git.diff


def _put_sources(run: WorkflowRun, workdir: Path, stage: Path) -> _Code:
    files = [
        FileRecord(path=source.uri, digest=source.digest)
        for source in run.sources
        if not _reserved(source.uri)
    ]
    paths = tuple(file.path for file in files if copy_recorded(file, workdir, stage))
    store_root(stage).mkdir()
    return _Code(paths=paths, bundled=False)


def _workflow(run: WorkflowRun, code: _Code) -> str:
    name = run.snakefile or "Snakefile"
    if name not in code.paths:
        raise UsageError(
            f"the Snakefile {name} of run {run.id[:MIN_PREFIX]} is not there as it was recorded, "
            "expected it below the working directory: in the commit, or unchanged",
            hint="Fetch the commit that `repro report` names. A Snakefile elsewhere cannot "
            "be part of a crate.",
        )
    return name


def _put_data(
    told: Publication, workdir: Path, stage: Path, wanted: Callable[[FileRecord], bool]
) -> tuple[dict[str, FileRecord], tuple[str, ...]]:
    """Copy what jobs read and wrote; return it by path, and the paths of what is left out."""
    kept: dict[str, FileRecord] = {}
    left_out: dict[str, None] = {}
    for file in _data(told):
        if wanted(file) and copy_recorded(file, workdir, stage):
            kept[file.path] = file
        else:
            left_out[file.path] = None
    return kept, tuple(path for path in left_out if path not in kept)


def _wanted(file: FileRecord, *, data: bool, limit: int | None) -> bool:
    small = limit is None or (file.size or 0) <= limit
    return data and small and not _reserved(file.path)


def _data(told: Publication) -> Iterator[FileRecord]:
    """Yield each version of each file once, results first."""
    found = [file for file, _ in results(told.history).values()]
    for one in told.activities:
        found += [*one.outputs, *one.inputs]
        log, environment = one.record.log, one.environment
        if log is not None and log.kind is FileKind.FILE:
            found.append(log)
        if environment is not None:
            files = (environment.lock, environment.source)
            found += [file for file in files if file is not None]
    yield from {(file.path, file.digest): file for file in reversed(found)}.values()


def _put_record(told: Publication, code: _Code, stage: Path) -> None:
    for history in told.histories:
        journal = journal_root(stage) / history.run.id
        journal.mkdir(parents=True)
        (journal / "crate.jsonl").write_bytes(b"".join(map(encode, unfold(history))))
    run = told.history.run
    git = run.git if code.bundled else None
    note = {
        "schema": NOTE_SCHEMA,
        "run": run.id,
        "commit": None if git is None else git.commit,
        "prefix": code.prefix,
    }
    (store_root(stage) / NOTE).write_text(json.dumps(note) + "\n", encoding="utf-8")


def _parts(code: _Code, stage: Path) -> Iterator[Part]:
    for path in code.paths:
        yield _part(stage, path, "Of the workflow's code.")
    for journal in sorted(journal_root(stage).glob("*/*.jsonl")):
        path = journal.relative_to(stage).as_posix()
        yield _part(stage, path, "The record of a run, as `repro` reads it.")
    bundle = store_root(stage) / BUNDLE
    if bundle.exists():
        path = bundle.relative_to(stage).as_posix()
        says = "The commit with all its files, as git reads it."
        yield _part(stage, path, says)
    if README not in code.paths:
        yield _part(stage, README, "What this crate is.")
    note = (store_root(stage) / NOTE).relative_to(stage).as_posix()
    yield _part(stage, note, "Which run this crate is of.")


def _part(stage: Path, path: str, says: str) -> Part:
    digest, size = hash_file(stage / path)
    return Part(path=path, digest=digest, size=size, says=says)


def _reserved(path: str) -> bool:
    """Tell whether a path is none that a file of the workflow may have in a crate."""
    parts: Sequence[str] = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or not path.isprintable():
        return True
    return parts[0] in _RESERVED


def _is_license(path: str) -> bool:
    return path.partition(".")[0].upper() in _LICENSES
