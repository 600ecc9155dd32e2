"""What a hermetic job did that its rule does not declare, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from posixpath import relpath

from snakemake_repro.logic.sandbox import Sandbox, ZoneKind, lies_in, parents
from snakemake_repro.logic.trace import Access, Connection

_OF_THE_SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/gnu",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
)
"""What a program looks up there says nothing about its rule."""

_NO_FILES = ("/dev", "/proc")
"""What is written there is kept by nobody."""

_BESIDE_THE_POINT = frozenset((".git", ".hg", ".repro", ".snakemake", ".svn", "__pycache__"))
"""What tools look for wherever they are started."""

_MOST = 50
"""Violations of one job that its record names."""

_HIDDEN = ("ENOENT", "ENOTDIR", "EACCES")
_REFUSED = ("EROFS", "EACCES", "EPERM", "EBUSY")
_UNREACHABLE = ("ENETUNREACH", "EHOSTUNREACH")
_UNDER_WAY = ("EINPROGRESS", "EINTR", "EAGAIN")


def wrote(path: str, workdir: str) -> str:
    """Say that a file was written."""
    return f"wrote {shown(path, workdir)}, which it does not declare"


def read(path: str, workdir: str) -> str:
    """Say that a file was read."""
    return f"read {shown(path, workdir)}, which it does not declare"


def shown(path: str, workdir: str) -> str:
    """Return a path as messages name it."""
    return relpath(path, workdir) if lies_in(path, workdir) else path


def few(violations: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first of many violations and the number of the others."""
    if len(violations) <= _MOST:
        return violations
    return (*violations[:_MOST], f"did {len(violations) - _MOST} more things of this kind")


def attempts(
    uses: Iterable[Access | Connection], sandbox: Sandbox, kind: Callable[[str], str | None]
) -> tuple[str, ...]:
    """Return what an enclosed job tried that would have worked outside.

    Args:
        uses: What it did.
        sandbox: What it saw.
        kind: Tells of a path outside whether it is a ``file`` or a ``directory``, or neither.
    """
    declared = _Declared(sandbox)
    found: dict[str, None] = {}
    for use in uses:
        if isinstance(use, Connection):
            if use.error in _UNREACHABLE:
                found[f"tried to reach {use.address}, port {use.port}"] = None
        elif use.error is None or declared.allows(use) or _is_temporary(sandbox, use.path):
            continue
        elif use.writes:
            if use.error in _REFUSED or (use.error in _HIDDEN and kind(use.path) == "file"):
                path = shown(use.path, sandbox.workdir)
                found[f"tried to write {path}, which it does not declare"] = None
        elif use.error in _HIDDEN and declared.would_matter(use, kind(use.path)):
            found[read(use.path, sandbox.workdir)] = None
    return tuple(found)


def deeds(
    uses: Iterable[Access | Connection], sandbox: Sandbox, kind: Callable[[str], str | None]
) -> tuple[str, ...]:
    """Return what a job did that an enclosed one could not have done; see ``attempts``."""
    declared = _Declared(sandbox)
    found: dict[str, None] = {}
    written: set[str] = set()
    for use in uses:
        if isinstance(use, Connection):
            local = use.address.startswith("127.") or use.address == "::1"
            if not local and (use.error is None or use.error in _UNDER_WAY):
                found[f"reached {use.address}, port {use.port}"] = None
        elif use.error is not None or declared.allows(use):
            continue
        elif use.writes:
            written.add(use.path)
            temporary = _is_temporary(sandbox, use.path)
            if not temporary and kind(use.path) == "file":  # and not removed or renamed since
                found[wrote(use.path, sandbox.workdir)] = None
        elif use.path not in written and declared.would_matter(use, kind(use.path)):
            found[read(use.path, sandbox.workdir)] = None
    return tuple(found)


class _Declared:
    """The files that a job may read and write."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._written = {*sandbox.outputs, *sandbox.logs}
        self._read = {*self._written, *sandbox.inputs, *sandbox.readable}
        self._listed = {parent for path in self._read for parent in parents(path)}
        self._workdir = sandbox.workdir

    def allows(self, use: Access) -> bool:
        if not _BESIDE_THE_POINT.isdisjoint(use.path.split("/")):
            return True
        if use.writes and any(lies_in(use.path, place) for place in _NO_FILES):
            return True
        known = self._written if use.writes else self._read
        return use.path in known or any(parent in known for parent in parents(use.path))

    def would_matter(self, use: Access, kind: str | None) -> bool:
        """Tell whether a job depends on what is at a path.

        Of directories only the lists of those in the working directory count, and of these not
        the ones with something that is declared: interpreters list where their modules lie.
        """
        if any(use.path == place or lies_in(use.path, place) for place in _OF_THE_SYSTEM):
            return False
        if kind != "directory":
            return kind == "file"
        inside = lies_in(use.path, self._workdir)
        return use.opens and inside and use.path not in self._listed


def _is_temporary(sandbox: Sandbox, path: str) -> bool:
    """Tell whether a path lies among a job's temporary files."""
    zone = sandbox.zone_of(path)
    return zone is not None and zone.kind is ZoneKind.TEMPORARY
