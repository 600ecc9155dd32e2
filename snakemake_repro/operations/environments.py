"""Environments on this node: what there is, what is built ahead, and what may go."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import snakemake_repro
from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.environments.inventory import Stored, remove, stored
from snakemake_repro.backends.environments.lockfile import resolve_spec
from snakemake_repro.backends.environments.store import NodeEnvironments, default_root
from snakemake_repro.backends.foreground import run_in_foreground
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError, NotFoundError
from snakemake_repro.operations.environment_files import find_environment_files
from snakemake_repro.records import EnvironmentRecord

__all__ = ["Built", "Collected", "Fate", "Stored", "build", "collect", "run", "show"]

_SHELL = ("bash", "--noprofile", "--norc")
_OWN = "wrappers/**/environment.yaml"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """An environment that is there now.

    Attributes:
        source: The environment file.
        seconds: How long it took; next to nothing where it was there before.
    """

    source: Path
    record: EnvironmentRecord
    seconds: float


class Fate(enum.StrEnum):
    """What became of an environment in a store, or would become of it."""

    REMOVED = "removed"
    BUSY = "in use"
    LOCKED = "locked here"
    RECENT = "used lately"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """One environment of a store, and what became of it."""

    environment: Stored
    fate: Fate


def show(store: Path | None) -> tuple[Stored, ...]:
    """Return what is in a store, the most recently used first.

    Args:
        store: ``None`` for the default one.

    Raises:
        StorageError: It cannot be read.
    """
    return tuple(stored(store or default_root()))


def build(
    files: Sequence[Path],
    *,
    workdir: Path,
    store: Path | None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Built, ...]:
    """Realise the environments of environment files on this node, ahead of a run.

    Raises:
        EnvironmentSpecError: A file has no lock that fits.
        EnvironmentBuildError: One cannot be built.
    """
    environments = NodeEnvironments(store or default_root())
    specs = [(file, resolve_spec(file, workdir)) for file in dict.fromkeys(files)]
    made = []
    try:
        for number, (file, spec) in enumerate(specs):
            progress(number, len(specs))
            began = time.monotonic()
            record = environments.realise(spec).record
            made.append(
                Built(source=file, record=record, seconds=round(time.monotonic() - began, 3))
            )
    finally:
        environments.close()
    return tuple(made)


def run(
    file: Path,
    command: Sequence[str],
    *,
    workdir: Path,
    store: Path | None,
    waiting: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> int:
    """Run a command in the environment of an environment file, building it first if need be.

    Args:
        file: The environment file.
        command: Program and arguments; none of them for a shell.
        workdir: Where it runs.
        store: ``None`` for the default one.
        waiting: Entered while the environment is built.

    Returns:
        The exit code of the command.

    Raises:
        EnvironmentSpecError: The file has no lock that fits.
        EnvironmentBuildError: The environment cannot be built.
        UsageError: The command cannot be started.
    """
    environments = NodeEnvironments(store or default_root())
    try:
        with waiting():
            environment = environments.realise(resolve_spec(file, workdir))
        variables = environment.variables(os.environ)
        if not command:
            variables["PS1"] = f"({file.stem}) \\w\\$ "
        # without the user's own settings, which may put other programs first
        return run_in_foreground(command or _SHELL, env=variables, cwd=workdir)
    finally:
        environments.close()


def collect(
    directories: Sequence[Path], *, store: Path | None, unused_for: float, dry_run: bool
) -> tuple[Collected, ...]:
    """Remove the environments that no lock in reach names and nobody has used for a while.

    What a build that was cut off left is removed, too. Our wrappers' own locks are always in
    reach.

    Args:
        directories: Where locks are looked for.
        store: ``None`` for the default one.
        unused_for: Days.
        dry_run: Only say what would be removed.

    Raises:
        StorageError: The store cannot be read, or something cannot be removed.
    """
    root = store or default_root()
    kept = set(_named(directories, NodeEnvironments(root)))
    oldest = dt.datetime.fromisoformat(SystemClock().now()) - dt.timedelta(days=unused_for)
    return tuple(
        Collected(environment=one, fate=_fate(one, kept, oldest, dry_run=dry_run))
        for one in stored(root)
    )


def _fate(one: Stored, kept: set[str], oldest: dt.datetime, *, dry_run: bool) -> Fate:
    if one.busy:
        return Fate.BUSY
    if one.record is not None:
        if one.key in kept:
            return Fate.LOCKED
        if one.used is not None and dt.datetime.fromisoformat(one.used) > oldest:
            return Fate.RECENT
    return Fate.REMOVED if dry_run or remove(one) else Fate.BUSY


def _named(directories: Sequence[Path], environments: NodeEnvironments) -> Iterator[str]:
    """Yield the keys of what the locks in reach name on this node.

    What cannot be realised here, for want of a lock that fits, names nothing.
    """
    files = list(Path(snakemake_repro.__file__).parent.glob(_OWN))
    for directory in directories:
        try:
            files += find_environment_files(directory)
        except NotFoundError:
            continue
    for file in files:
        try:
            yield environments.place(resolve_spec(file, file.parent)).name
        except (EnvironmentSpecError, EnvironmentBuildError):
            continue
