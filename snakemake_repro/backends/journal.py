"""The journal: append-only JSON lines, one file per writer, one directory per run.

``.repro/journal/<run id>/<writer>.jsonl``, relative to the working directory. Only one process
ever writes a file, each entry is a single ``write`` followed by ``fsync``, and a reader takes a
line for written only when its newline is there: a crash can leave a torn last line and nothing
else.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from snakemake_repro.errors import NotFoundError, RecordError, StorageError
from snakemake_repro.logic.history import RunHistory, fold
from snakemake_repro.records import Entry

STORE_DIRECTORY = ".repro"
RUN_ID = re.compile(r"[0-9a-f]{32}")


def store_root(workdir: Path) -> Path:
    """Return the store below a working directory."""
    return workdir / STORE_DIRECTORY


def cache_file(workdir: Path) -> Path:
    """Return the file of the stat cache below a working directory."""
    return store_root(workdir) / "cache" / "files.json"


def journal_root(workdir: Path) -> Path:
    """Return the directory of all journals below a working directory."""
    return store_root(workdir) / "journal"


def delivery_root(workdir: Path) -> Path:
    """Return the directory of the recorder's notes on what it delivered."""
    return store_root(workdir) / "delivery"


def host_in_name() -> str:
    """Return this machine's name as it stands in the names of journal files."""
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]


def encode(entry: Entry) -> bytes:
    """Return the entry's line, newline included."""
    text = json.dumps(entry.to_line(), separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii") + b"\n"


class FileJournal:
    """One writer's file of one run's journal."""

    def __init__(self, workdir: Path, run_id: str, writer: str) -> None:
        """Open nothing yet: a writer that never writes leaves no file.

        Args:
            workdir: The run's working directory.
            run_id: The run.
            writer: What kind of writer (``driver``, ``worker``, ...); host, pid and a random
                part are added.
        """
        name = f"{writer}-{host_in_name()}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self._path = journal_root(workdir) / run_id / name
        self._fd: int | None = None

    @property
    def path(self) -> Path:
        """Where this writer writes."""
        return self._path

    def append(self, entry: Entry, *, durable: bool = True) -> None:
        """Append one entry.

        Args:
            entry: What to append.
            durable: Wait until it is on disk. Without, it survives the death of this process but
                not a power failure.

        Raises:
            StorageError: The file cannot be written.
        """
        line = encode(entry)
        try:
            if self._fd is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o644)
            start = os.fstat(self._fd).st_size
            complete = os.write(self._fd, line) == len(line)
            if not complete:
                os.ftruncate(self._fd, start)
            elif durable:
                os.fsync(self._fd)
        except OSError as exc:
            raise StorageError(
                f"cannot write the record to {self._path}: {exc.strerror}",
                hint="Free some space or mend the permissions; finished jobs are not lost.",
            ) from exc
        if not complete:
            raise StorageError(
                f"cannot write the record to {self._path}: no space left on the device",
                hint="Free some space; finished jobs are not lost.",
            )

    def close(self) -> None:
        """Release the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class JournalStore:
    """Reads the journals below one working directory; a ``LineageStore``."""

    def __init__(self, workdir: Path) -> None:
        self._root = journal_root(workdir)
        self._notes = delivery_root(workdir)

    def run_ids(self) -> list[str]:
        """Return all runs that have a beginning, oldest first."""
        if not self._root.is_dir():
            return []
        found = []
        for directory in self._root.iterdir():
            if RUN_ID.fullmatch(directory.name) and directory.is_dir():
                started = _started(directory)
                if started is not None:
                    found.append((started, directory.name))
        return [run_id for _, run_id in sorted(found)]

    def load(self, run_id: str) -> RunHistory:
        """Return one run."""
        history = fold(self.entries(run_id))
        if history is None:
            raise NotFoundError(
                f"no run {run_id!r} in {self._root}",
                hint="`repro log` lists the runs that are here.",
            )
        return history

    def in_mlflow(self, prefix: str) -> list[str]:
        """Return the ids of the runs whose MLflow run's id begins so, as far as was noted."""
        found = []
        for path in sorted(self._notes.glob("*.json")):
            try:
                known = json.loads(path.read_bytes()).get("mlflow_run")
            except (OSError, ValueError, AttributeError):
                continue  # notes are made again whenever they are damaged
            if isinstance(known, str) and known.startswith(prefix):
                found.append(path.stem)
        return found

    def entries(self, run_id: str, having: Collection[str] = ()) -> Iterator[Entry]:
        """Yield the entries of a run, writer by writer.

        Args:
            run_id: The run.
            having: Words of which an entry must have one, somewhere, to be read; empty for all.
        """
        for path in self.files(run_id):
            yield from read(path, having)

    def job_count(self, run_id: str) -> int | None:
        """Return how many jobs a run planned, by its beginning; ``None`` if that is not there."""
        line = _beginning(self._root / run_id)
        return None if line is None else line["data"]["run"].get("job_count")

    def files(self, run_id: str) -> list[Path]:
        """Return the files of one run's journal, sorted by name."""
        if not RUN_ID.fullmatch(run_id):
            return []
        return sorted((self._root / run_id).glob("*.jsonl"))


def read(path: Path, having: Collection[str] = ()) -> Iterator[Entry]:
    """Yield the entries of one journal file; a torn last line is passed over.

    Args:
        path: The file.
        having: As for ``JournalStore.entries``.

    Raises:
        RecordError: A complete line is not a journal line, or is of a newer schema.
    """
    words = [word.encode() for word in having]
    for number, line in enumerate(read_lines(path), start=1):
        if words and not any(word in line for word in words):
            continue
        try:
            entry = Entry.from_line(json.loads(line))
        except (ValueError, AttributeError) as exc:
            raise RecordError(f"{path}, line {number}: not a JSON object ({exc})") from exc
        except RecordError as exc:
            raise RecordError(f"{path}, line {number}: {exc.message}", hint=exc.hint) from exc
        if entry is not None:
            yield entry


def read_lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield the complete lines of a journal file from a byte offset, newline included."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            if line.strip():
                yield line


def _started(directory: Path) -> str | None:
    """Return when a run began."""
    line = _beginning(directory)
    return None if line is None else str(line["at"])


def _beginning(directory: Path) -> dict[str, Any] | None:
    """Return the line that says that a run began, from the file that it is the first of."""
    for path in sorted(directory.glob("*.jsonl")):
        for line in read_lines(path):
            if b'"kind":"run-started"' in line[:200]:
                found: dict[str, Any] = json.loads(line)
                return found
            break
    return None
