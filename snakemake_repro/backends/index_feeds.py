"""Where the index learns of runs: from journals on disk, or from any other lineage store."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from snakemake_repro.backends.index_tables import TABLES, VERSION, Loader
from snakemake_repro.backends.journal import RUN_ID, JournalStore
from snakemake_repro.errors import RecordError, StorageError
from snakemake_repro.interfaces import LineageStore
from snakemake_repro.logic.history import RunHistory, unfold

_TAIL = 64
"""Bytes before the place where reading stopped that must be unchanged to read on there."""
_PART_LINES = 5_000

Progress = Callable[[int, int], None]
"""Called with bytes read so far and bytes to read in all."""


class Feed(Protocol):
    """A source of runs for an index."""

    def run_ids(self) -> list[str] | None:
        """Return the ids of all runs, oldest first; ``None`` where the tables know as much."""
        ...

    def load(self, run_id: str) -> RunHistory:
        """Return one run.

        Raises:
            NotFoundError: There is no such run.
            RecordError: Its record cannot be read.
            StorageError: Likewise, for reasons of the file system.
        """
        ...

    def in_mlflow(self, prefix: str) -> list[str]:
        """Return the ids of the runs whose MLflow run's id begins so."""
        ...

    def bring(self, db: sqlite3.Connection, only: Sequence[str] | None = None) -> None:
        """Put everything that is new into the tables.

        Args:
            db: The tables.
            only: Runs that will do, where each of them is expensive to have.

        Raises:
            RecordError: Something cannot be read.
            StorageError: Likewise, for reasons of the file system.
        """
        ...


def ensure_tables(db: sqlite3.Connection) -> None:
    """Make the tables in place of whatever is there, unless they are there already."""
    if _current(db):
        return
    db.execute("BEGIN IMMEDIATE")
    if not _current(db):  # another process may have made them meanwhile
        _clear(db)
    db.execute("COMMIT")


def _current(db: sqlite3.Connection) -> bool:
    return bool(db.execute("PRAGMA user_version").fetchone()[0] == VERSION)


def _clear(db: sqlite3.Connection) -> None:
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in names:
        db.execute('DROP TABLE "{}"'.format(name.replace('"', '""')))
    for statement in TABLES.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {VERSION}")


class StoreFeed:
    """Runs of a lineage store such as MLflow, loaded once each."""

    def __init__(self, store: LineageStore) -> None:
        self._store = store
        self._loaded: dict[str, RunHistory] = {}
        self._indexed: set[str] = set()
        self._ids: tuple[str, ...] | None = None

    def run_ids(self) -> list[str] | None:
        """Return the ids of all runs, oldest first."""
        return list(self._known())

    def load(self, run_id: str) -> RunHistory:
        """Return one run."""
        if run_id not in self._loaded:
            self._loaded[run_id] = self._store.load(run_id)
        return self._loaded[run_id]

    def in_mlflow(self, prefix: str) -> list[str]:
        """Return the ids of the runs whose MLflow run's id begins so."""
        return list(self._store.in_mlflow(prefix))

    def bring(self, db: sqlite3.Connection, only: Sequence[str] | None = None) -> None:
        """Put every run into the tables, or only some."""
        loader = Loader(db)
        for run_id in self._known() if only is None else only:
            if run_id in self._indexed:
                continue
            history = self.load(run_id)
            db.execute("BEGIN")
            for entry in unfold(history):
                loader.add(entry.to_line())
            db.execute("COMMIT")
            self._indexed.add(run_id)

    def _known(self) -> Sequence[str]:
        if self._ids is None:
            self._ids = tuple(self._store.run_ids())
        return self._ids


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """How far a journal file has been read.

    Attributes:
        lines: Lines before that place, blank ones included.
        tail: Checksum of the bytes just before it.
        size: Of the file when it was read; with ``mtime_ns`` it tells an unchanged file.
    """

    offset: int = 0
    lines: int = 0
    tail: int = 0
    size: int = 0
    mtime_ns: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    run: str
    name: bytes
    path: Path
    size: int
    mtime_ns: int


class JournalFeed:
    """The journals below one store."""

    def __init__(self, workdir: Path, root: Path, progress: Progress | None = None) -> None:
        """Read nothing yet.

        Args:
            workdir: The working directory.
            root: Its directory of journals.
            progress: Told how far reading has come.
        """
        self._store = JournalStore(workdir)
        self._root = root
        self._progress = progress

    def run_ids(self) -> list[str] | None:
        """Return nothing: the tables know."""
        return None

    def load(self, run_id: str) -> RunHistory:
        """Return one run."""
        with _readable(self._root):
            return self._store.load(run_id)

    def in_mlflow(self, prefix: str) -> list[str]:
        """Return the ids of the runs whose MLflow run's id begins so."""
        return self._store.in_mlflow(prefix)

    def bring(self, db: sqlite3.Connection, only: Sequence[str] | None = None) -> None:  # noqa: ARG002
        """Read what journals have grown by since the last time.

        It is read in parts: what has been read stays read, whatever comes of the rest, and others
        who do the same at the same time take their turns.
        """
        with _readable(self._root):
            files = tuple(self._files())
            if not _changed(files, _places(db)):
                return
            size = sum(file.size for file in files)
            more = True
            while more:
                db.execute("BEGIN IMMEDIATE")
                try:
                    more = _read_part(db, files)
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
                if self._progress is not None:
                    read = db.execute("SELECT TOTAL(offset) FROM source").fetchone()[0]
                    self._progress(int(read), size)

    def _files(self) -> Iterator[_File]:
        with os.scandir(self._root) as directories:
            runs = sorted(entry.name for entry in directories if RUN_ID.fullmatch(entry.name))
        for run in runs:
            with os.scandir(self._root / run) as entries:
                for entry in entries:
                    if entry.name.endswith(".jsonl"):
                        stat = entry.stat()
                        name = os.fsencode(entry.name)
                        path = Path(entry.path)
                        yield _File(run, name, path, stat.st_size, stat.st_mtime_ns)


def _read_part(db: sqlite3.Connection, files: Sequence[_File]) -> bool:
    """Read some lines; tell whether there are more."""
    places = _places(db)
    if _contradicts(files, places):
        _clear(db)
        places = {}
    loader, lines = Loader(db), 0
    for file in files:
        place = places.get((file.run, file.name))
        if not _news(file, place):
            continue
        if lines >= _PART_LINES:
            return True
        begun = place or _Place()
        place = _load(loader, file, begun, _PART_LINES - lines)
        lines += place.lines - begun.lines
        row = (file.run, file.name, *dataclasses.astuple(place))
        db.execute("INSERT OR REPLACE INTO source VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        if _news(file, place):
            return True
    return False


def _load(loader: Loader, file: _File, place: _Place, lines_at_most: int) -> _Place:
    """Read a file on from a place; return the new one."""
    offset, lines, tail = place.offset, place.lines, place.tail
    with file.path.open("rb") as stream:
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                break  # torn by a crash, or still being written
            if lines - place.lines >= lines_at_most:
                # without its size the file counts as changed until it is read to its end
                return _Place(offset, lines, tail)
            lines += 1
            offset += len(line)
            tail = zlib.crc32(line[-_TAIL:])
            if line.strip():
                try:
                    loader.add_line(line)
                except RecordError as exc:
                    raise RecordError(
                        f"{file.path}, line {lines}: {exc.message}",
                        hint=exc.hint or "Move that file away to read the rest of the record.",
                    ) from exc
    return _Place(offset, lines, tail, file.size, file.mtime_ns)


def _places(db: sqlite3.Connection) -> dict[tuple[str, bytes], _Place]:
    rows = db.execute("SELECT run, name, offset, lines, tail, size, mtime_ns FROM source")
    return {(run, name): _Place(*rest) for run, name, *rest in rows}


def _news(file: _File, place: _Place | None) -> bool:
    return place is None or (file.size, file.mtime_ns) != (place.size, place.mtime_ns)


def _changed(files: Sequence[_File], places: Mapping[tuple[str, bytes], _Place]) -> bool:
    return len(files) != len(places) or any(
        _news(file, places.get((file.run, file.name))) for file in files
    )


def _contradicts(files: Sequence[_File], places: Mapping[tuple[str, bytes], _Place]) -> bool:
    """Tell whether journals lack something that was read from them once."""
    left = dict(places)
    for file in files:
        place = left.pop((file.run, file.name), None)
        if place is None or not _news(file, place):
            continue
        if file.size < place.offset or _tail(file.path, place) != place.tail:
            return True
    return bool(left)


def _tail(path: Path, place: _Place) -> int:
    """Return the checksum of the end of the last line before a place."""
    if place.offset == 0:
        return 0
    with path.open("rb") as stream:
        start = max(0, place.offset - _TAIL)
        stream.seek(start)
        end = stream.read(place.offset - start)
    return zlib.crc32(end[end.rfind(b"\n", 0, -1) + 1 :])


@contextlib.contextmanager
def _readable(root: Path) -> Iterator[None]:
    """Turn errors of the file system into ours."""
    try:
        yield
    except OSError as exc:
        raise StorageError(
            f"cannot read the record: {exc.filename or root}: {exc.strerror}",
            hint="Mend the permissions, or name another store with --store.",
        ) from exc
