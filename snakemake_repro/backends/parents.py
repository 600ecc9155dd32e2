"""Who belongs to which run: processes below one Snakemake agree through a locked file.

``.repro/parents/<host>-<pid>-<start time>.json`` names the run of one Snakemake process. Its first
witness, a wrapper or the logger plugin, writes the file; the others find it. A process id alone
would not do: they are used again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from snakemake_repro.backends.journal import RUN_ID, store_root
from snakemake_repro.backends.wholefiles import replacing
from snakemake_repro.errors import StorageError

_PATIENCE_S = 60.0
_INNER_MODES = ("subprocess", "remote")
_START_FIELD = 19
"""Of ``/proc/<pid>/stat`` after the command name: start time in clock ticks, see proc(5)."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process of this machine, told apart from others that had or will have its id.

    Attributes:
        start: Clock ticks since boot; 0 where the system does not tell.
        command: Its command line.
    """

    pid: int
    start: int
    command: tuple[str, ...] = ()

    @property
    def cwd(self) -> Path | None:
        """Its working directory, if this user may know."""
        try:
            return Path(f"/proc/{self.pid}/cwd").readlink()
        except OSError:
            return None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        found = _look(self.pid)
        if found is not None:
            return found[0].start == self.start
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            return True  # somebody else's, in a /proc that hides it
        except ProcessLookupError:
            return False
        return False  # a zombie


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """The run of a Snakemake process.

    Attributes:
        leader: Who records the run as a whole: ``wrapper``, ``logger`` or ``driver``.
    """

    run_id: str
    leader: str


def this_process() -> Process:
    """Return the calling process."""
    found = _look(os.getpid())
    return Process(pid=os.getpid(), start=0) if found is None else found[0]


def snakemake_above(*, likely: bool) -> Process | None:
    """Return the Snakemake process that started this one.

    Between the two stand shells, and for some rules another Snakemake that runs just the one job.
    Of a Snakemake inside a rule of another Snakemake the inner one counts.

    Args:
        likely: This process is known to run below Snakemake; when no command line says so (it may
            have been started through its API), the nearest Python above is taken for it.
    """
    above = list(_ancestors())
    snakemakes = [process for process in above if is_snakemake(process.command)]
    for process in snakemakes:
        if not _is_inner(process.command):
            return process
    if snakemakes:
        return snakemakes[-1]
    if likely:
        return next((process for process in above if _is_python(process.command)), None)
    return None


def is_snakemake(command: Sequence[str]) -> bool:
    """Tell whether a command line is one of Snakemake."""
    words = [Path(word).name for word in command[:4]]
    if words[:1] == ["snakemake"]:
        return True
    if not _is_python(command):
        return False
    script = next((word for word in command[1:] if not word.startswith("-")), "")
    return Path(script).name == "snakemake" or ("-m", "snakemake") in pairwise(command)


class Parents:
    """The runs of the Snakemake processes that work in one directory now."""

    def __init__(self, workdir: Path, host: str) -> None:
        """Remember where; nothing is made yet.

        Args:
            workdir: Working directory of the runs.
            host: Identifier of this machine since its boot; other machines may share the
                directory, and nothing can be said about their processes.
        """
        self._root = store_root(workdir) / "parents"
        self._host = host

    def join(
        self,
        process: Process,
        *,
        leader: str,
        begin: Callable[[str], None],
        run_id: str | None = None,
    ) -> Parent:
        """Return the run of a Snakemake process; the first to ask makes it.

        Args:
            process: The Snakemake process.
            leader: Who asks.
            run_id: The id of a new run; one is made up without it.
            begin: Writes the beginning of a new run, given its id; others wait meanwhile.

        Raises:
            StorageError: The directory cannot be written, or others hold the lock for too long.
        """
        with self._locked():
            path = self._path(process)
            parent = _read(path)
            if parent is None:
                parent = Parent(run_id=run_id or uuid.uuid4().hex, leader=leader)
                begin(parent.run_id)
                self._write(path, parent)
        return parent

    def leave(self, process: Process) -> None:
        """Forget the run of a Snakemake process that ends.

        Raises:
            StorageError: The directory cannot be written.
        """
        with self._locked():
            self._path(process).unlink(missing_ok=True)

    def sweep(self, end: Callable[[Parent], None]) -> None:
        """Forget the runs of processes of this machine that are gone.

        Args:
            end: Writes the end of such a run.

        Raises:
            StorageError: The directory cannot be written.
        """
        if not self._root.is_dir():
            return
        with self._locked():
            for path in sorted(self._root.glob(f"{self._host}-*.json")):
                _, pid, start = path.stem.rsplit("-", 2)
                if pid.isdigit() and start.isdigit():
                    if Process(pid=int(pid), start=int(start)).alive:
                        continue
                    parent = _read(path)
                    if parent is not None:
                        end(parent)
                path.unlink(missing_ok=True)

    def _path(self, process: Process) -> Path:
        return self._root / f"{self._host}-{process.pid}-{process.start}.json"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with FileLock(self._root / ".lock", timeout=_PATIENCE_S):
                yield
        except Timeout as exc:
            raise StorageError(
                f"{self._root / '.lock'} is held by another process for more than {_PATIENCE_S:g} s"
            ) from exc
        except OSError as exc:
            raise StorageError(
                f"cannot write {self._root}: {exc.strerror}",
                hint="Free some space or mend the permissions.",
            ) from exc

    def _write(self, path: Path, parent: Parent) -> None:
        with replacing(path) as file:
            file.write(json.dumps(dataclasses.asdict(parent)).encode("ascii"))


def _read(path: Path) -> Parent | None:
    """Return what a file names; one that is missing or damaged names nothing."""
    try:
        data = json.loads(path.read_bytes())
        parent = Parent(run_id=str(data["run_id"]), leader=str(data["leader"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return parent if RUN_ID.fullmatch(parent.run_id) else None


def _ancestors() -> Iterator[Process]:
    """Yield the processes above this one, nearest first, as far as they can be seen."""
    found = _look(os.getpid())
    while found is not None and found[1] > 0:
        found = _look(found[1])
        if found is not None:
            yield found[0]


def _look(pid: int) -> tuple[Process, int] | None:
    """Return a living process and the id of its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    # the name in parentheses may hold anything, even parentheses
    fields = stat.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    words = tuple(os.fsdecode(word) for word in command.removesuffix(b"\0").split(b"\0"))
    return Process(pid=pid, start=int(fields[_START_FIELD]), command=words), int(fields[1])


def _is_python(command: Sequence[str]) -> bool:
    return bool(command) and Path(command[0]).name.startswith("python")


def _is_inner(command: Sequence[str]) -> bool:
    """Tell whether a Snakemake was started by another one, to run one job of it."""
    pairs = {*pairwise(command), *(tuple(word.split("=", 1)) for word in command if "=" in word)}
    return any(("--mode", mode) in pairs for mode in _INNER_MODES)
