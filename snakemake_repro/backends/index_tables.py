"""The tables of the index, and how journal lines become rows of them.

Rows are taken from the lines' plain JSON, without building records of them: that makes a first
index of a large journal several times faster. Whatever does not look as expected is handed to
the records' own reader, which says precisely what is wrong.

Text that comes from outside (paths, rule names) is stored as bytes: it may hold surrogates,
which SQLite's text cannot.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from snakemake_repro.errors import RecordError
from snakemake_repro.records import SCHEMA_VERSION, Entry, FileKind, JobStatus, Origin

_KINDS = frozenset(kind.value for kind in FileKind)
_ORIGINS = frozenset(origin.value for origin in Origin)
_STATUSES = frozenset(status.value for status in JobStatus)
_REMEMBERED_PATHS = 100_000

VERSION = 1
"""Version of these tables; an index of any other is built anew."""

INPUT, OUTPUT, LATE, REMOVED = 0, 1, 2, 3
"""Roles of a file: read; written; written or changed on acceptance; removed by design."""

TABLES = """
CREATE TABLE source (
  run TEXT NOT NULL, name BLOB NOT NULL,
  offset INTEGER NOT NULL, lines INTEGER NOT NULL, tail INTEGER NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE run (
  id BLOB PRIMARY KEY, started TEXT NOT NULL, head TEXT NOT NULL, git TEXT
) WITHOUT ROWID;
CREATE TABLE ending (
  run BLOB PRIMARY KEY, status TEXT NOT NULL, finished TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE environment (
  digest BLOB PRIMARY KEY, name BLOB NOT NULL, pinned INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE path (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE);
CREATE TABLE attempt (
  id INTEGER PRIMARY KEY, uuid BLOB NOT NULL UNIQUE,
  run BLOB, rule BLOB, wildcards TEXT, kind TEXT, origin TEXT, status TEXT,
  started TEXT, finished TEXT, at TEXT, environment BLOB
);
CREATE INDEX attempt_run ON attempt (run);
CREATE TABLE verdict (attempt INTEGER PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE file (
  attempt INTEGER NOT NULL, role INTEGER NOT NULL, path INTEGER NOT NULL,
  kind TEXT NOT NULL, digest BLOB, size INTEGER, name BLOB,
  PRIMARY KEY (attempt, role, path)
) WITHOUT ROWID;
CREATE INDEX file_path ON file (path, role);
CREATE INDEX file_digest ON file (digest) WHERE digest IS NOT NULL;
"""


def pack(text: str) -> bytes:
    """Return any Python text as bytes, reversibly."""
    return text.encode("utf-8", "surrogatepass")


def unpack(data: bytes) -> str:
    """Return the text that ``pack`` was given."""
    return data.decode("utf-8", "surrogatepass")


def pack_digest(text: str | None) -> bytes | None:
    """Return the bytes of ``sha256:<64 hex>``.

    Raises:
        ValueError: The text is anything else.
    """
    if text is None:
        return None
    algorithm, _, value = text.partition(":")
    if algorithm != "sha256" or len(value) != 64:  # noqa: PLR2004 - hex characters of SHA-256
        raise ValueError(f"not a digest: {text!r}")
    return bytes.fromhex(value)


class Loader:
    """Puts journal lines into the tables; every line may come twice and in any order."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._paths: dict[str, int] = {}

    def add_line(self, line: bytes) -> None:
        """Put one line into the tables.

        Raises:
            RecordError: It is not a journal line, malformed, or of a newer schema.
        """
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise RecordError(f"not a JSON object ({exc})") from exc
        if not isinstance(data, dict):
            raise RecordError(f"not a JSON object but {type(data).__name__}")
        self.add(data)

    def add(self, line: Mapping[str, Any]) -> None:
        """Put the JSON object of one line into the tables.

        Raises:
            RecordError: As above.
        """
        try:
            if line["schema"] <= SCHEMA_VERSION and type(line["schema"]) is int:
                self._add(line["kind"], line["run"], line["at"], line["data"])
                return
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            sqlite3.IntegrityError,  # a required value is null
            sqlite3.InterfaceError,  # a value of no type that SQLite stores
            sqlite3.ProgrammingError,  # the same in newer Pythons
        ) as exc:
            Entry.from_line(line)  # names the field, where it is a field
            raise RecordError(f"malformed journal line: {exc}") from exc
        Entry.from_line(line)
        raise RecordError("malformed journal line")

    def _add(self, kind: str, run: str, at: str, data: Mapping[str, Any]) -> None:
        match kind:
            case "job-ended":
                self._ended(data["job"], run, at)
            case "job-accepted":
                attempt = self._attempt(data["job_id"])
                self._verdict(attempt, "accepted")
                self._files(attempt, LATE, data.get("outputs", ()))
                removed = ({"path": path, "kind": "missing"} for path in data.get("removed", ()))
                self._files(attempt, REMOVED, removed)
            case "job-rejected":
                state = "interrupted" if data.get("interrupted") else "rejected"
                self._verdict(self._attempt(data["job_id"]), state)
            case "run-started":
                self._started(data["run"], run)
            case "run-ended":
                end = data["end"]
                row = (pack(run), _text(end["status"]), _text(end["finished"]))
                self._db.execute("INSERT OR REPLACE INTO ending VALUES (?, ?, ?)", row)
            case "environment":
                environment = data["environment"]
                name, pinned = pack(environment["name"]), bool(environment.get("pinned"))
                self._db.execute(
                    "INSERT OR REPLACE INTO environment VALUES (?, ?, ?)",
                    (pack_digest(environment["digest"]), name, pinned),
                )

    def _started(self, run: Mapping[str, Any], run_id: str) -> None:
        sources = run.get("sources", ())
        git = sources[0].get("git") if sources else None
        if git is not None:
            git = {key: git.get(key) for key in ("commit", "dirty")}
        head = {key: run.get(key) for key in ("name", "command", "executor", "user")}
        self._db.execute(
            "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?)",
            (
                pack(run_id),
                _text(run["started"]),
                json.dumps(head),
                None if git is None else json.dumps(git),
            ),
        )

    def _ended(self, job: Mapping[str, Any], run: str, at: str) -> None:
        spec = job["spec"]
        attempt = self._attempt(job["id"])
        status = job.get("status", "succeeded")
        self._db.execute(
            "UPDATE attempt SET run = ?, rule = ?, wildcards = ?, kind = ?, origin = ?,"
            " status = ?, started = ?, finished = ?, at = ?, environment = ? WHERE id = ?",
            (
                pack(run),
                pack(spec["rule"]),
                json.dumps(dict(spec.get("wildcards", {}))),
                _text(spec["kind"]),
                _one_of(_ORIGINS, job.get("origin", "ray")),
                _one_of(_STATUSES, status),
                _text_or_none(job.get("started")),
                _text_or_none(job.get("finished")),
                _text(at),
                pack_digest(spec.get("environment")),
                attempt,
            ),
        )
        if status == "interrupted":
            self._db.execute("INSERT OR IGNORE INTO verdict VALUES (?, 'interrupted')", (attempt,))
        self._files(attempt, INPUT, spec.get("inputs", ()))
        self._files(attempt, OUTPUT, job.get("outputs", ()))

    def _verdict(self, attempt: int, state: str) -> None:
        # an acceptance counts more than a rejection, whichever is read first
        self._db.execute(
            "INSERT INTO verdict VALUES (?, ?) ON CONFLICT (attempt) DO UPDATE"
            " SET state = excluded.state WHERE state <> 'accepted'",
            (attempt, state),
        )

    def _attempt(self, uuid: str) -> int:
        key = pack(uuid)
        self._db.execute("INSERT OR IGNORE INTO attempt (uuid) VALUES (?)", (key,))
        row = self._db.execute("SELECT id FROM attempt WHERE uuid = ?", (key,)).fetchone()
        return int(row[0])

    def _files(self, attempt: int, role: int, files: Iterable[Mapping[str, Any]]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    attempt,
                    role,
                    self._path(file["path"]),
                    _one_of(_KINDS, file.get("kind", "file")),
                    pack_digest(file.get("digest")),
                    _size(file.get("size")),
                    None if file.get("name") is None else pack(file["name"]),
                )
                for file in files
            ],
        )

    def _path(self, path: str) -> int:
        known = self._paths.get(path)
        if known is not None:
            return known
        key = pack(path)
        self._db.execute("INSERT OR IGNORE INTO path (path) VALUES (?)", (key,))
        row = self._db.execute("SELECT id FROM path WHERE path = ?", (key,)).fetchone()
        if len(self._paths) >= _REMEMBERED_PATHS:
            self._paths.clear()
        self._paths[path] = int(row[0])
        return int(row[0])


def _text(value: object) -> str:
    """Return a text that SQLite can hold.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str) or not value.isascii():
        raise ValueError(f"expected plain text, got {value!r}")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _one_of(known: frozenset[str], value: str) -> str:
    if value not in known:
        raise ValueError(f"expected one of {', '.join(sorted(known))}, got {value!r}")
    return value


def _size(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise ValueError(f"expected a size, got {value!r}")
    return value
