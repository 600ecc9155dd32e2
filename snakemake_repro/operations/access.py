"""Reach a record, and find in it what a user names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from snakemake_repro.backends.files import hash_file, recorded_path
from snakemake_repro.backends.index import Index, index_of, open_index
from snakemake_repro.backends.index_feeds import Progress
from snakemake_repro.backends.journal import STORE_DIRECTORY
from snakemake_repro.errors import NotFoundError, UsageError
from snakemake_repro.logic.lineage import maker_of
from snakemake_repro.records import MIN_PREFIX, Digest

LATEST = "latest"
_HEX = re.compile(r"[0-9a-f]+")
_DIGEST = "sha256:"
_RUN_ID_LENGTH = 32
_DIGEST_LENGTH = 64
_NAMED = 5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where to look.

    Attributes:
        workdir: The working directory: files are named relative to it, and its record is used
            unless something else is named.
        store: Another working directory, or its ``.repro``, to take the record from.
        tracking_uri: MLflow tracking server or store to take the record from.
        experiment: Only this MLflow experiment.
    """

    workdir: Path
    store: Path | None = None
    tracking_uri: str | None = None
    experiment: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A file of the record that a user means.

    Attributes:
        path: As recorded.
        digest: The bytes meant, or ``None`` for those written last.
    """

    path: str
    digest: Digest | None = None


def open_record(place: Place, progress: Progress | None = None) -> Index:
    """Return the record to ask.

    Raises:
        NotFoundError: There is none.
        UsageError: Two are named.
        TrackingError: The tracking server cannot be reached.
    """
    if place.tracking_uri is not None:
        if place.store is not None:
            raise UsageError(
                "a store and a tracking server are named, expected one of them",
                hint="Give either --store or --tracking-uri.",
            )
        from snakemake_repro.backends.mlflow_store import MlflowStore

        return index_of(MlflowStore(place.tracking_uri, place.experiment))
    if place.experiment is not None:
        raise UsageError(
            f"experiment {place.experiment!r} is named, but no tracking server",
            hint="Name it with --tracking-uri.",
        )
    workdir = place.workdir if place.store is None else place.store
    if workdir.name == STORE_DIRECTORY:
        workdir = workdir.parent
    return open_index(workdir, progress=progress)


def find_run(index: Index, name: str, workdir: Path) -> str:
    """Return the id of the run that a user means.

    Args:
        index: The record.
        name: ``latest``, a run id or a prefix of one (ours or MLflow's), the path of a file or the
            prefix of a digest: then the run that made the file.
        workdir: Paths are relative to it.

    Raises:
        NotFoundError: There is none.
        UsageError: There are several.
    """
    run_id = _run_by_id(index, name)
    if run_id is not None:
        return run_id
    try:
        files = find_files(index, name, workdir)
    except NotFoundError as exc:
        raise NotFoundError(
            f"no run {name!r} in this record",
            hint="`repro log` lists the runs. A run is named by its id or at least "
            f"{MIN_PREFIX} characters of it, by `{LATEST}`, or by a file that it made.",
        ) from exc
    for file in files:
        made = maker_of(index, file.path, file.digest)
        if made is not None:
            return made.step.run_id
    path = files[0].path
    readers = len(index.readers(path))
    raise NotFoundError(
        f"no recorded job made {path!r}; {_jobs(readers)} read it",
        hint="`repro lineage FILE --downstream` shows what was made of it.",
    )


def named_run(index: Index, names: Sequence[str]) -> str | None:
    """Return the run that the arguments of a command name, ``None`` where they name files.

    Args:
        index: The record.
        names: One run, or none for the latest, or files.

    Raises:
        NotFoundError: The record holds no run.
        UsageError: Several runs begin so.
    """
    if len(names) > 1:
        return None
    return _run_by_id(index, names[0] if names else LATEST)


def run_before(index: Index, run_id: str) -> str:
    """Return the run that began before another one.

    Raises:
        NotFoundError: It is the first one.
    """
    run_ids = index.run_ids()
    place = run_ids.index(run_id)
    if place == 0:
        raise NotFoundError(
            f"run {run_id[:MIN_PREFIX]} is the first one of this record, there is none before it",
            hint="Name two runs; `repro log` lists them.",
        )
    return run_ids[place - 1]


def find_files(index: Index, name: str, workdir: Path) -> Sequence[Found]:
    """Return the files of the record that a user means; several only for a digest.

    A path counts first. A file on disk that is not in the record by its path may be there by its
    bytes: a copy of a result leads to where the result came from.

    Args:
        index: The record.
        name: A path, or ``sha256:`` and/or a prefix of a digest.
        workdir: Paths are relative to it.

    Raises:
        NotFoundError: There is none.
        UsageError: Several digests begin so.
    """
    prefix = name.lower().removeprefix(_DIGEST)
    hexadecimal = bool(_HEX.fullmatch(prefix)) and len(prefix) <= _DIGEST_LENGTH
    if name.lower().startswith(_DIGEST) and not (hexadecimal and len(prefix) >= MIN_PREFIX):
        raise UsageError(
            f"{name!r} is not a digest, expected at least {MIN_PREFIX} hexadecimal characters",
        )
    if not name.startswith(_DIGEST):
        for path in _names(name, workdir):
            if index.makers(path) or index.readers(path):
                return (Found(path=path),)
    if hexadecimal and len(prefix) >= MIN_PREFIX:
        found = _by_digest(index, prefix)
        if found:
            return found
    copy = workdir / name
    if copy.is_file():
        digest, size = hash_file(copy)
        found = _by_digest(index, digest.value) if size else ()
        if found:
            return found
    raise NotFoundError(
        f"{name!r} is not in this record: no recorded job made or read it",
        hint=f"Name a file relative to {workdir}, or at least {MIN_PREFIX} characters of a digest.",
    )


def _run_by_id(index: Index, name: str) -> str | None:
    run_ids = index.run_ids()
    if not run_ids:
        raise NotFoundError(
            "the record holds no run yet",
            hint="Run the workflow with `snakemake --executor ray` first.",
        )
    if name == LATEST:
        return run_ids[-1]
    prefix = name.lower()
    if not (_HEX.fullmatch(prefix) and MIN_PREFIX <= len(prefix) <= _RUN_ID_LENGTH):
        return None
    fitting = [run_id for run_id in run_ids if run_id.startswith(prefix)]
    fitting = fitting or index.in_mlflow(prefix)
    if len(fitting) > 1:
        raise _ambiguous("run", name, fitting)
    return fitting[0] if fitting else None


def _names(name: str, workdir: Path) -> Iterator[str]:
    """Yield the names under which the record may know a path."""
    seen = set()
    for root in (workdir, workdir.resolve()):
        path = recorded_path(workdir / name, root)
        if path not in seen:
            seen.add(path)
            yield path


def _by_digest(index: Index, prefix: str) -> Sequence[Found]:
    files = index.with_digest(prefix)
    digests = sorted({str(file.digest) for file in files})
    if len(digests) > 1:
        raise _ambiguous("digest", prefix, digests)
    return tuple(Found(path=file.path, digest=file.digest) for file in files)


def _ambiguous(what: str, name: str, fitting: Sequence[str]) -> UsageError:
    shown = ", ".join(fitting[:_NAMED]) + (", ..." if len(fitting) > _NAMED else "")
    return UsageError(
        f"{what} {name!r} is ambiguous: {len(fitting)} begin so: {shown}",
        hint="Give more characters.",
    )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
