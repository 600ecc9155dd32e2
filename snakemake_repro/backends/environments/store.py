"""The store of realised environments on a node: one directory per content, built once.

``<root>/<key>`` is an environment, ``<root>/<key>.ok`` says that it is complete. An environment is
built at its final place (its scripts name it) under a lock that the kernel frees when its holders
are gone; the ``.ok`` file is written last, and what has none is removed before building anew. Who
uses an environment holds ``<root>/<key>.use``, so that nobody removes it meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from snakemake_repro.backends.caches import user_cache
from snakemake_repro.backends.environments.flock import in_use, locked
from snakemake_repro.backends.environments.host import HostEnvironment
from snakemake_repro.backends.environments.inventory import DONE, LOCK, USE
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentRecord, EnvironmentSpec

_KEY_LENGTH = 32
"""Hex characters of the digest in a path; scripts of an environment name it in their first line,
and the kernel reads 127 bytes of that."""

_CACHE = "packages"
"""Unpacked conda packages, on the file system of the environments that are made of them."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_libc = ctypes.CDLL(None, use_errno=True)


def default_root() -> Path:
    """Return the store of this user on this node.

    Raises:
        EnvironmentBuildError: The user has no home directory.
    """
    try:
        return user_cache() / "environments"
    except RuntimeError as exc:
        raise EnvironmentBuildError(
            "no place for environments: neither $XDG_CACHE_HOME nor $HOME is set",
            hint="Name a directory on a local disk with --ray-environment-store.",
        ) from exc


class NodeEnvironments:
    """Environments below one root; an ``Environments``."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._realised: dict[EnvironmentSpec, RealisedEnvironment] = {}
        self._in_use: dict[Path, int] = {}

    def realise(self, spec: EnvironmentSpec) -> RealisedEnvironment:
        """Return the environment, building it first if this node does not have it."""
        if spec.kind is EnvironmentKind.HOST:
            return HostEnvironment()
        known = self._realised.get(spec)
        if known is not None and _marked(self._prefix(known.record)):  # nobody removed it since
            return known
        plan = _plan(spec, self._root)
        record, prefix = plan.record, self._prefix(plan.record)
        with _errors(spec.name, self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            with self._using(prefix):  # before it is looked at: nobody removes it after that
                if not _complete(prefix, record):
                    with locked(prefix.with_suffix(LOCK)) as lock:
                        if not _complete(prefix, record):
                            _build(prefix, plan, lock)
        environment = plan.open(prefix)
        self._realised[spec] = environment
        return environment

    def place(self, spec: EnvironmentSpec) -> Path:
        """Return where the environment of a lock is on this node, or would be.

        Raises:
            EnvironmentSpecError: The lock cannot be used.
            EnvironmentBuildError: It is not made for this node.
        """
        return self._prefix(_plan(spec, self._root).record)

    def close(self) -> None:
        """Say that none of them is used any more; the end of the process says so, too."""
        while self._in_use:
            os.close(self._in_use.popitem()[1])

    @contextlib.contextmanager
    def _using(self, prefix: Path) -> Iterator[None]:
        """Say that an environment is used, from now on unless it cannot be had."""
        held = self._in_use.pop(prefix, None)
        fd = in_use(prefix.with_suffix(USE)) if held is None else held
        try:
            yield
        except BaseException:
            os.close(fd)
            raise
        self._in_use[prefix] = fd

    def _prefix(self, record: EnvironmentRecord) -> Path:
        return self._root / record.digest.value[:_KEY_LENGTH]


@contextlib.contextmanager
def workshop(root: Path, key: Digest, name: str) -> Iterator[tuple[Path, Path, int]]:
    """Lend a place in a store where an environment is made that is not to stay.

    What a process leaves that is killed meanwhile passes for an unfinished environment.

    Args:
        root: Of the store.
        key: Of what is made; two who make the same wait for each other.
        name: Of the environment, for messages.

    Yields:
        Where it can be made, the directory of unpacked packages, and the descriptor that locks the
        place.

    Raises:
        EnvironmentBuildError: Nothing can be written there.
    """
    prefix = root.absolute() / key.value[:_KEY_LENGTH]
    with _errors(name, root):
        root.mkdir(parents=True, exist_ok=True)
        with locked(prefix.with_suffix(LOCK)) as lock:
            _remove(prefix)
            try:
                yield prefix, root.absolute() / _CACHE, lock
            finally:
                _remove(prefix)


@contextlib.contextmanager
def _errors(name: str, root: Path) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as exc:
        raise EnvironmentBuildError(
            f"the environment {name} cannot be built below {root}: {exc.strerror or exc}",
            hint="Free some space, or name another place with --ray-environment-store."
            if exc.errno in _FULL
            else "Mend the permissions, or name a directory on a local disk with "
            "--ray-environment-store.",
        ) from exc


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What is to be built, and how.

    Attributes:
        build: Makes it at a prefix, given the descriptor that locks that.
        open: Returns it from where it was made.
    """

    record: EnvironmentRecord
    build: Callable[[Path, int], None]
    open: Callable[[Path], RealisedEnvironment]


def _plan(spec: EnvironmentSpec, root: Path) -> _Plan:
    # a worker whose jobs need neither loads neither
    if spec.kind is EnvironmentKind.CONDA:
        from snakemake_repro.backends.environments import conda

        record, files, scripts = conda.plan(spec)
        return _Plan(
            record=record,
            build=lambda prefix, lock: conda.build(
                prefix, record.name, files, link_scripts=scripts, cache=root / _CACHE, lock=lock
            ),
            open=lambda prefix: conda.CondaEnvironment(prefix, record),
        )
    from snakemake_repro.backends.environments import pypi

    plan = pypi.plan(spec)
    return _Plan(
        record=plan.record,
        build=lambda prefix, lock: pypi.build(prefix, plan, lock=lock),
        open=lambda prefix: pypi.PypiEnvironment(prefix, plan),
    )


def _build(prefix: Path, plan: _Plan, lock: int) -> None:
    """Build an environment; the caller holds its lock."""
    done = prefix.with_suffix(DONE)
    done.unlink(missing_ok=True)
    _remove(prefix)
    try:
        plan.build(prefix, lock)
        _sync(prefix)
        _write(done, json.dumps(plan.record.to_dict()).encode())
    except BaseException:
        _remove(prefix)
        raise


def _marked(prefix: Path) -> bool:
    from snakemake_repro.backends.environments import conda, pypi

    witnesses = (pypi.interpreter(prefix), conda.witness(prefix))
    return prefix.with_suffix(DONE).exists() and any(path.exists() for path in witnesses)


def _complete(prefix: Path, record: EnvironmentRecord) -> bool:
    try:
        done = json.loads(prefix.with_suffix(DONE).read_bytes())
    except (OSError, ValueError):
        return False
    known = done.get("digest") if isinstance(done, dict) else None
    return known == str(record.digest) and _marked(prefix)


def _remove(prefix: Path) -> None:
    if prefix.exists():
        shutil.rmtree(prefix)


def _sync(directory: Path) -> None:
    """Bring the file system of a directory to disk, before something says that it is complete."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(directory))
    finally:
        os.close(fd)


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there completely or not at all; one writer at a time."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
