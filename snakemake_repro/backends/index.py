"""The index: questions about files across runs, answered without reading every journal.

It is derived from the journal, which stays the truth: an index that is missing, of another
version, corrupt or at odds with the journal is built anew, and one that is behind reads on from
where it stopped. Where the store cannot be written it lives in memory, and so does the index of
runs that come from elsewhere (MLflow).
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.backends.index_feeds import (
    Feed,
    JournalFeed,
    Progress,
    StoreFeed,
    ensure_tables,
)
from snakemake_repro.backends.index_tables import (
    INPUT,
    LATE,
    OUTPUT,
    REMOVED,
    pack,
    unpack,
)
from snakemake_repro.backends.journal import journal_root, store_root
from snakemake_repro.errors import NotFoundError, StorageError
from snakemake_repro.interfaces import LineageStore
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.lineage import Sighting, Step
from snakemake_repro.logic.overview import RunLine
from snakemake_repro.records import Digest, FileKind, FileRecord, JobState, JobStatus, Origin

_BUSY_S = 60.0

_STEP = (
    "attempt.uuid, attempt.run, attempt.rule, attempt.wildcards, attempt.origin, attempt.status,"
    " verdict.state, attempt.at, attempt.started, attempt.finished, attempt.environment,"
    " environment.name, environment.pinned, run.git"
)
_FILE = "path.path, file.kind, file.digest, file.size, file.name"
_JOINED = (
    " FROM file JOIN path ON path.id = file.path JOIN attempt ON attempt.id = file.attempt"
    " JOIN run ON run.id = attempt.run LEFT JOIN verdict ON verdict.attempt = attempt.id"
    " LEFT JOIN environment ON environment.digest = attempt.environment"
)
_STANDING_ROLE = (
    f" file.role IN ({OUTPUT}, {LATE}) AND NOT (file.role = {OUTPUT} AND EXISTS (SELECT 1"  # noqa: S608 - constants only
    " FROM file AS late WHERE late.attempt = file.attempt AND late.path = file.path"
    f" AND late.role = {LATE}))"
)


class Index:
    """A ``LineageStore`` that also answers by file; a ``FileGraph``."""

    def __init__(self, feed: Feed, store: Path | None) -> None:
        """Open nothing yet.

        Args:
            feed: Where runs come from.
            store: Directory to keep the index in; ``None`` keeps it in memory.
        """
        self._feed = feed
        self._file = None if store is None else _IndexFile(store)
        self._db: sqlite3.Connection | None = None
        self._complete = False

    def close(self) -> None:
        """Release the index; asking again opens it again."""
        if self._db is not None:
            self._db.close()
            self._db = None
            self._complete = False
        if self._file is not None:
            self._file.release()

    def run_ids(self) -> list[str]:
        """Return the ids of all runs, oldest first."""
        ids = self._feed.run_ids()
        if ids is None:
            rows = self._ask("SELECT id FROM run ORDER BY started, id", ())
            ids = [unpack(row[0]) for row in rows]
        return ids

    def load(self, run_id: str) -> RunHistory:
        """Return one run.

        Raises:
            NotFoundError: There is no such run.
            RecordError: Its record cannot be read.
        """
        return self._feed.load(run_id)

    def in_mlflow(self, prefix: str) -> list[str]:
        """Return the ids of the runs whose MLflow run's id begins so."""
        return self._feed.in_mlflow(prefix)

    def makers(self, path: str, digest: Digest | None = None) -> list[Sighting]:
        """Return every attempt with that output, with these bytes if given, newest first."""
        where, values = f" WHERE path.path = ? AND {_STANDING_ROLE}", [pack(path)]
        if digest is not None:
            # the sign keeps SQLite from its index of digests: one of an empty file is everywhere
            where, values = f"{where} AND +file.digest = ?", [*values, bytes.fromhex(digest.value)]
        return self._sightings(where, values)

    def readers(self, path: str) -> list[Sighting]:
        """Return every attempt with that input, newest first."""
        return self._sightings(f" WHERE path.path = ? AND file.role = {INPUT}", (pack(path),))

    def with_digest(self, prefix: str) -> list[FileRecord]:
        """Return every path that ever held bytes whose SHA-256 begins so, made ones first.

        Args:
            prefix: Hexadecimal characters.
        """
        low, high = (bytes.fromhex(prefix.ljust(64, end)) for end in "0f")
        rows = self._ask(
            f"SELECT {_FILE}, MIN(file.role = {INPUT}) AS read" + _JOINED + " WHERE file.digest"
            f" BETWEEN ? AND ? AND (file.role = {INPUT} OR {_STANDING_ROLE})"
            " GROUP BY file.digest, path.path ORDER BY read, path.path",
            (low, high),
        )
        return [_file(row) for row in rows]

    def inputs(self, step_id: str) -> list[FileRecord]:
        """Return the inputs of an attempt."""
        where = f" WHERE attempt.uuid = ? AND file.role = {INPUT}"
        return [
            _file(row) for row in self._ask(f"SELECT {_FILE}{_JOINED}{where}", (pack(step_id),))
        ]

    def outputs(self, step_id: str) -> list[FileRecord]:
        """Return the outputs of an attempt, as they are after acceptance."""
        where = f" WHERE attempt.uuid = ? AND {_STANDING_ROLE}"
        return [
            _file(row) for row in self._ask(f"SELECT {_FILE}{_JOINED}{where}", (pack(step_id),))
        ]

    def removed(self, step_id: str) -> frozenset[str]:
        """Return the outputs of an attempt that were removed by design."""
        rows = self._ask(
            f"SELECT path.path{_JOINED} WHERE attempt.uuid = ? AND file.role = {REMOVED}",
            (pack(step_id),),
        )
        return frozenset(unpack(row[0]) for row in rows)

    def below(self, directory: str) -> list[str]:
        """Return every path of the record below a directory, sorted.

        Args:
            directory: As a path of the record; ``.`` is the working directory.
        """
        if directory == ".":
            rows = self._ask("SELECT path FROM path WHERE path NOT LIKE '/%' ORDER BY path", ())
            return [unpack(row[0]) for row in rows]
        start = pack(directory.rstrip("/") + "/")
        rows = self._ask(
            "SELECT path FROM path WHERE path >= ? AND path < ? ORDER BY path",
            (start, start[:-1] + b"0"),  # "0" follows "/" in ASCII
        )
        return [unpack(row[0]) for row in rows]

    def run_lines(self, run_ids: Sequence[str]) -> list[RunLine]:
        """Return one line about each of these runs, in the same order."""
        return [self._run_line(run_id, run_ids) for run_id in run_ids]

    def _run_line(self, run_id: str, run_ids: Sequence[str]) -> RunLine:
        found = self._ask(
            "SELECT run.started, run.head, run.git, ending.status, ending.finished FROM run"
            " LEFT JOIN ending ON ending.run = run.id WHERE run.id = ?",
            (pack(run_id),),
            only=run_ids,
        )
        if not found:
            raise NotFoundError(f"no run {run_id!r} in this record")
        started, head, git, status, finished = found[0]
        jobs = self._ask(
            "SELECT MAX(status = 'succeeded' AND COALESCE(state, 'ran') IN ('accepted', 'ran')),"  # noqa: S608 - constants only
            " MIN(origin = 'reused') FROM attempt LEFT JOIN verdict ON"
            " verdict.attempt = attempt.id WHERE run = ? AND (kind <> 'norun' OR EXISTS"
            f" (SELECT 1 FROM file WHERE file.attempt = attempt.id AND role = {OUTPUT}))"
            " GROUP BY rule, wildcards",
            (pack(run_id),),
            only=run_ids,
        )
        about, state = json.loads(head), None if git is None else json.loads(git)
        return RunLine(
            id=run_id,
            name=str(about.get("name")),
            command=tuple(str(word) for word in about.get("command") or ()),
            user=about.get("user"),
            started=started,
            finished=finished,
            status=status,
            jobs=len(jobs),
            reused=sum(1 for stands, reused in jobs if stands and reused),
            failed=sum(1 for stands, _ in jobs if not stands),
            under_git=state is not None,
            commit=None if state is None else state.get("commit"),
            dirty=None if state is None else bool(state.get("dirty")),
        )

    def _sightings(self, where: str, values: Sequence[Any]) -> list[Sighting]:
        rows = self._ask(
            f"SELECT {_STEP}, {_FILE}{_JOINED}{where} ORDER BY attempt.at DESC, attempt.id DESC",
            values,
        )
        return [Sighting(step=_step(row), file=_file(row[-5:])) for row in rows]

    def _ask(
        self, query: str, values: Sequence[Any], only: Sequence[str] | None = None
    ) -> list[Any]:
        """Answer from the tables.

        Raises:
            StorageError: The index cannot be used even after building it anew.
        """
        try:
            return self._connected(only).execute(query, values).fetchall()
        except sqlite3.Error as exc:
            self._retreat(exc)
        try:
            return self._connected(only).execute(query, values).fetchall()
        except sqlite3.Error as exc:
            self.close()
            raise StorageError(f"cannot use the index of the record: {exc}") from exc

    def _connected(self, only: Sequence[str] | None) -> sqlite3.Connection:
        """Return the tables, complete as of the first question."""
        if self._db is None:
            self._db = self._opened()
        if not self._complete:
            self._feed.bring(self._db, only)
            self._complete = only is None
        return self._db

    def _opened(self) -> sqlite3.Connection:
        if self._file is not None:
            return self._file.open()
        db = sqlite3.connect(":memory:", isolation_level=None)
        ensure_tables(db)
        return db

    def _retreat(self, exc: sqlite3.Error) -> None:
        """Give up a broken index file for a new one, an unusable one for memory."""
        self.close()
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        broken = code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        if self._file is not None and not (broken and self._file.discard()):
            self._file = None


class _IndexFile:
    """The index on disk.

    Whoever has it open holds a shared lock on a file beside it, so that it is only ever replaced
    while nobody else uses it: SQLite files must not be unlinked under a reader.
    """

    def __init__(self, store: Path) -> None:
        self._path = store / "index.sqlite"
        self._lock_path = store / "index.lock"
        self._lock: int | None = None

    def open(self) -> sqlite3.Connection:
        """Return a connection to tables of our version.

        Raises:
            sqlite3.Error: It cannot be used.
        """
        try:
            if self._lock is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._lock = os.open(self._lock_path, flags, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        except OSError as exc:
            raise sqlite3.OperationalError(str(exc)) from exc
        db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            ensure_tables(db)
        except BaseException:
            db.close()
            raise
        return db

    def release(self) -> None:
        """Let others replace it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def discard(self) -> bool:
        """Remove it; ``False`` when others use it or it cannot be removed."""
        try:
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        except OSError:
            return False
        finally:
            os.close(lock)
        return True


def open_index(workdir: Path, *, progress: Progress | None = None) -> Index:
    """Return the index of a working directory's record.

    Raises:
        NotFoundError: There is no record.
    """
    root = journal_root(workdir)
    if not root.is_dir():
        raise NotFoundError(
            f"no record here: expected {root}",
            hint="Run the workflow with `snakemake --executor ray` first, or name another "
            "working directory with -C, or a tracking server with --tracking-uri.",
        )
    return Index(JournalFeed(workdir, root, progress), store_root(workdir))


def index_of(store: LineageStore) -> Index:
    """Return an index in memory of the runs of any lineage store; runs are loaded when needed."""
    return Index(StoreFeed(store), None)


def _step(row: Any) -> Step:
    uuid, run, rule, wildcards, origin, status, state, at, started, finished = row[:10]
    environment, name, pinned, git = row[10:14]
    commit, dirty = (None, None) if git is None else _commit(git)
    return Step(
        id=unpack(uuid),
        run_id=unpack(run),
        rule=unpack(rule),
        wildcards=json.loads(wildcards),
        origin=Origin(origin),
        status=JobStatus(status),
        state=JobState.RAN if state is None else JobState(state),
        at=at,
        started=started,
        finished=finished,
        environment=None if environment is None else Digest(environment.hex()),
        environment_name=None if name is None else unpack(name),
        pinned=None if pinned is None else bool(pinned),
        commit=commit,
        dirty=dirty,
    )


@functools.lru_cache(maxsize=64)
def _commit(git: str) -> tuple[str | None, bool]:
    """Return commit and dirtiness; runs have few of them, and jobs many."""
    source = json.loads(git)
    return source["commit"], bool(source["dirty"])


def _file(row: Any) -> FileRecord:
    path, kind, digest, size, name = row[:5]
    return FileRecord(
        path=unpack(path),
        kind=FileKind(kind),
        digest=None if digest is None else Digest(digest.hex()),
        size=size,
        name=None if name is None else unpack(name),
    )
