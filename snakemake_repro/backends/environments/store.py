"""The store of realised environments on a node: one directory per content, built once.

``<root>/<key>`` is an environment, ``<root>/<key>.ok`` says that it is complete. An environment is
built at its final place (its scripts name it) under a lock that the kernel frees when its holder
dies; the ``.ok`` file is written last, and what has none is removed before building anew.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from snakemake_repro.backends.environments import pypi
from snakemake_repro.backends.environments.host import HostEnvironment
from snakemake_repro.backends.environments.pypi import PypiEnvironment
from snakemake_repro.errors import EnvironmentBuildError, RecordError
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.logic.requirements import LockedPackage
from snakemake_repro.records import EnvironmentKind, EnvironmentRecord, EnvironmentSpec

_KEY_LENGTH = 32
"""Hex characters of the digest in a path; scripts of an environment name it in their first line,
and the kernel reads 127 bytes of that."""


def default_root() -> Path:
    """Return the store of this user on this node."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "snakemake-repro" / "environments"


class NodeEnvironments:
    """Environments below one root; an ``Environments``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._realised: dict[EnvironmentSpec, tuple[Path, PypiEnvironment]] = {}

    def realise(self, spec: EnvironmentSpec) -> RealisedEnvironment:
        """Return the environment, building it first if this node does not have it."""
        if spec.kind is EnvironmentKind.HOST:
            return HostEnvironment()
        if spec in self._realised:
            done, environment = self._realised[spec]
            if done.exists():  # nobody removed it since
                return environment
        record, packages = pypi.plan(spec)
        prefix = self._root / record.digest.value[:_KEY_LENGTH]
        done = prefix.with_suffix(".ok")
        if not _complete(done, record):
            try:
                self._root.mkdir(parents=True, exist_ok=True)
                with FileLock(prefix.with_suffix(".lock")):
                    if not _complete(done, record):
                        self._build(prefix, done, record, packages)
            except OSError as exc:
                raise EnvironmentBuildError(
                    f"the environment {spec.name} cannot be built below {self._root}: "
                    f"{exc.strerror}",
                    hint="Free some space, or name another place with --ray-environment-store.",
                ) from exc
        environment = PypiEnvironment(prefix, record)
        self._realised[spec] = (done, environment)
        return environment

    def _build(
        self,
        prefix: Path,
        done: Path,
        record: EnvironmentRecord,
        packages: tuple[LockedPackage, ...],
    ) -> None:
        done.unlink(missing_ok=True)
        _remove(prefix)
        try:
            pypi.build(prefix, record.name, packages)
            _write(done, json.dumps(record.to_dict()).encode())
        except BaseException:
            _remove(prefix)
            raise


def _complete(done: Path, record: EnvironmentRecord) -> bool:
    try:
        known = EnvironmentRecord.from_dict(json.loads(done.read_bytes()))
    except (OSError, ValueError, RecordError):
        return False
    return known.digest == record.digest


def _remove(prefix: Path) -> None:
    if prefix.exists():
        shutil.rmtree(prefix)


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there completely or not at all, also after a power failure."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
