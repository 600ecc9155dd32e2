"""The directories that a hermetic job sees, made before it runs and emptied after.

Inputs stand in their zones as hard links where there are many, so that one read-only mount shows
them all: bubblewrap takes quadratic time for single mounts. The largest of them are mounted singly
all the same: a link changes the change time of the file, by which the stat cache knows it, and so
costs those that share it the time to hash it again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import heapq
import os
import shutil
import stat as modes
from collections.abc import Iterator
from pathlib import Path

from snakemake_repro.errors import IsolationError
from snakemake_repro.logic.sandbox import Mount, Sandbox, Zone, ZoneKind, depth

MOST_SINGLE_FILES = 32
"""Files that get a mount of their own; more of them are linked or copied."""

_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EROFS, errno.ENOTSUP)
_OWN = 0o700
_CODE = frozenset((".bash", ".jl", ".pl", ".py", ".pyi", ".R", ".r", ".Rmd", ".rs", ".sh"))
_IGNORED = ".snakemake_timestamp"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Input:
    path: str
    real: str
    stat: os.stat_result


class Stage:
    """What stands in for a job's directories; made by ``staged``.

    Attributes:
        mounts: How the job is to see them, outer ones first.
        linked: Inputs whose change time is another one now.
    """

    def __init__(self, sandbox: Sandbox, place: Path, scratch: Path) -> None:
        self._sandbox = sandbox
        self._place = place
        self._scratch = scratch
        self._sources: dict[str, str] = {}
        self._beside: set[str] = set()
        self._apart: list[str] = []
        self.mounts: tuple[Mount, ...] = ()
        self.linked: tuple[str, ...] = ()

    def build(self, private: str) -> None:
        """Make the directories and show the inputs in them.

        Args:
            private: Where the job sees what is neither the system's nor the workflow's.
        """
        mounts = [self._zone(number, zone) for number, zone in enumerate(self._sandbox.zones)]
        mounts += [Mount(source=path, target=path) for path in self._sandbox.readable]
        mounts += self._show_inputs(private)
        for mount in sorted(mounts, key=lambda m: depth(m.target)):
            self._make_mount_point(mount)
        for way in self._sandbox.ways:
            if (point := self._inside(way)) is not None:
                Path(point).mkdir(parents=True, exist_ok=True)
        self.mounts = tuple(sorted(mounts, key=lambda m: depth(m.target)))

    def undeclared(self) -> list[str]:
        """Return the files that the job wrote where it could and was not to."""
        if self._sandbox.shadow:
            return []
        found = []
        for zone in self._written_zones():
            source = self._sources[zone.target]
            for base, directories, names in os.walk(source):
                links = [d for d in directories if Path(base, d).is_symlink()]
                inside = zone.target.rstrip("/") + base[len(source) :]
                found += [f"{inside}/{name}" for name in (*names, *links) if name != _IGNORED]
        sandbox = self._sandbox
        return sorted(p for p in found if p not in self._beside and not sandbox.declares(p))

    def promote(self, *, outputs: bool) -> None:
        """Move what the rule declares to where it belongs.

        Args:
            outputs: Whether to keep more than the log files.

        Raises:
            OSError: A file cannot be moved.
        """
        declared = (*self._sandbox.logs, *(self._sandbox.outputs if outputs else ()))
        for path in declared:
            source = self.place_of(path)
            if os.path.lexists(source):
                os.replace(source, path)  # noqa: PTH105 - paths are texts here

    def place_of(self, path: str) -> str:
        """Return where a declared file lies until it is promoted."""
        place = self._inside(path)
        assert place is not None
        return place

    def remove(self) -> None:
        """Remove everything that was made."""
        for directory in (*self._apart, str(self._place)):
            discard(Path(directory))
        with contextlib.suppress(OSError):  # others may be staged there
            self._place.parent.rmdir()
            self._place.parent.parent.rmdir()

    # -- parts ------------------------------------------------------------------------------

    def _zone(self, number: int, zone: Zone) -> Mount:
        """Make the directory of a zone, where its files can be linked or moved from and to."""
        source = str(self._place / f"{zone.kind.value}-{number}")
        if zone.kind is ZoneKind.TEMPORARY:
            source = str(self._scratch / f"{zone.kind.value}-{number}")
        elif zone.kind is ZoneKind.OUTPUTS and not _same_device(zone.target, self._place):
            source = f"{zone.target.rstrip('/')}/.repro-{self._place.name}"
            self._apart.append(source)
        Path(source).mkdir(parents=True)
        self._sources[zone.target] = source
        return Mount(source=source, target=zone.target, writable=zone.kind is not ZoneKind.INPUTS)

    def _written_zones(self) -> Iterator[Zone]:
        return (zone for zone in self._sandbox.zones if zone.kind is ZoneKind.OUTPUTS)

    def _make_mount_point(self, mount: Mount) -> None:
        """Make what a mount inside a zone needs to be mounted on."""
        point = self._inside(mount.target)
        if point is None or os.path.lexists(point):
            return
        if Path(mount.source).is_dir():
            Path(point).mkdir(parents=True)
        else:
            Path(point).parent.mkdir(parents=True, exist_ok=True)
            Path(point).touch()
            self._beside.add(mount.target)

    def _inside(self, path: str) -> str | None:
        """Return where a path lies in the directory of its zone."""
        zone = self._sandbox.zone_of(path)
        if zone is None:
            return None
        return self._sources[zone.target] + path[len(zone.target.rstrip("/")) :]

    def _show_inputs(self, private: str) -> list[Mount]:
        found = list(_observed(self._sandbox.inputs))
        files = [item for item in found if modes.S_ISREG(item.stat.st_mode)]
        largest = heapq.nlargest(MOST_SINGLE_FILES, files, key=lambda item: item.stat.st_size)
        single = {item.path for item in largest}
        single |= {item.path for item in found if not modes.S_ISREG(item.stat.st_mode)}
        mounts = [Mount(source=i.real, target=i.path) for i in found if i.path in single]
        linked = []
        farm = self._place / "beside"
        made: set[str] = set()
        for item in found:
            if item.path in single:
                continue
            zone = self._sandbox.zone_of(item.path)
            place = self._inside(item.path)
            if zone is None or place is None:
                mounts.append(Mount(source=item.real, target=item.path))
                continue
            _make_parent(place, made)
            if zone.kind is not ZoneKind.INPUTS:
                # a link there would be writable; a symbolic one to a read-only place is not
                name = str(len(self._beside))
                Path(place).symlink_to(f"{private}/{name}")
                self._beside.add(item.path)
                place = str(farm / name)
                _make_parent(place, made)
            if _link(item, place):
                linked.append(item.path)
        if farm.exists():
            mounts.append(Mount(source=str(farm), target=private))
        self.linked = tuple(linked)
        return mounts


@contextlib.contextmanager
def staged(sandbox: Sandbox, place: Path, scratch: Path, private: str) -> Iterator[Stage]:
    """Stage a job's files and remove what was staged in the end.

    Args:
        sandbox: What the job is to see.
        place: Directory to be made, on the file system of the working directory.
        scratch: Existing directory for temporary files.
        private: Path at which the job sees inputs that others stand in front of.

    Raises:
        IsolationError: The files cannot be staged.
    """
    stage = Stage(sandbox, place, scratch)
    try:
        try:
            stage.build(private)
        except OSError as exc:
            raise IsolationError(
                f"cannot stage the files of a hermetic job: {exc.strerror}: {exc.filename}",
                hint="Free some space, or mend the permissions of that directory.",
            ) from exc
        yield stage
    finally:
        stage.remove()


def code_beside(script: Path) -> list[str]:
    """Return the modules and scripts that lie beside a script, for it may use them."""
    try:
        entries = sorted(script.parent.iterdir())
    except OSError:
        return []
    packages = [path for path in entries if (path / "__init__.py").is_file()]
    files = [path for path in entries if path.suffix in _CODE and path.is_file()]
    return [str(path) for path in (*files, *packages)]


def discard(top: Path) -> None:
    """Remove a directory, also what a job made inaccessible in it."""
    with contextlib.suppress(FileNotFoundError):  # others may remove it, too
        for base, directories, _ in os.walk(top):
            for name in directories:
                path = Path(base, name)
                mode = path.lstat().st_mode
                if modes.S_ISDIR(mode) and mode & _OWN != _OWN:
                    path.chmod(_OWN)
        shutil.rmtree(top)


def _observed(paths: tuple[str, ...]) -> Iterator[_Input]:
    """Yield the inputs that exist; one that is missing is the job's own trouble."""
    for path in paths:
        real = path
        try:
            stat = os.lstat(path)
            if modes.S_ISLNK(stat.st_mode):
                real = os.path.realpath(path)
                stat = os.stat(real)  # noqa: PTH116 - for thousands of files
        except OSError:
            continue
        yield _Input(path=path, real=real, stat=stat)


def _make_parent(place: str, made: set[str]) -> None:
    """Make the directory of a place, unless it is known to be there."""
    parent = os.path.dirname(place)  # noqa: PTH120 - for thousands of files
    if parent not in made:
        Path(parent).mkdir(parents=True, exist_ok=True)
        made.add(parent)


def _link(item: _Input, place: str) -> bool:
    """Put an input at a place, as a link if possible; tell whether it is one."""
    try:
        os.link(item.real, place)
    except OSError as exc:
        if exc.errno not in _NO_LINK:
            raise
        shutil.copy2(item.real, place)
        return False
    return True


def _same_device(directory: str, place: Path) -> bool:
    nearest = next(parent for parent in (place, *place.parents) if parent.exists())
    try:
        return Path(directory).stat().st_dev == nearest.stat().st_dev
    except OSError:
        return True
