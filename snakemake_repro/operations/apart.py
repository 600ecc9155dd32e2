"""Jobs on nodes that share no file system with the driver: their files travel with them.

A job gets a directory of its own on the node, with the workflow's sources and its inputs. What it
makes comes back in a stream, and is put into place when it is complete and the job succeeded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import snakemake_repro
from snakemake_repro.backends.artifacts import artifacts_name
from snakemake_repro.backends.journal import store_root
from snakemake_repro.backends.parcels import pack, unpack
from snakemake_repro.backends.processtree import alive
from snakemake_repro.backends.ray_objects import fetch
from snakemake_repro.errors import ReproError, StorageError
from snakemake_repro.logic.relocation import OUTSIDE, relocate
from snakemake_repro.operations.execute import execute_here
from snakemake_repro.records.tasks import ContainerRequest, Shipment, Task, TaskResult

_SOURCE_CACHE = ".snakemake/source-cache"
_ARRIVING = "arriving"
_PREFIX = "repro-job-"
_FILES, _RESULT = b"f", b"r"
"""First byte of what a node sends: a piece of the files, or the result, which is last."""


def execute_apart(payload: bytes, parcels: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """Run a task given as JSON in a directory of its own; yield its files, then its result.

    Args:
        payload: A task with a shipment.
        parcels: Archives of the sources and inputs, as references to objects of Ray.
    """
    task = Task.from_dict(json.loads(payload))
    assert task.shipment is not None
    with _directory() as here:
        try:
            for parcel in parcels:
                unpack(fetch(parcel), here)
            for name in (*task.shipment.outputs, *task.shipment.logs):
                (here / name).parent.mkdir(parents=True, exist_ok=True)
            result = execute_here(_localised(task, task.shipment, here))
            for piece in pack(_kept(task, task.shipment, here, result)):
                yield _FILES + piece
        except StorageError as exc:  # what is lost instead is raised, and repeated
            result = TaskResult(id=task.id, succeeded=False, error=exc.message, hint=exc.hint)
    yield _RESULT + json.dumps(result.to_dict()).encode()


def receive(base: Path, names: Iterable[str], attempt: str, items: Iterable[bytes]) -> bytes:
    """Put what a node sends into the working directory; return its result.

    Args:
        base: The working directory.
        names: What the job may have made, relative to it; nothing else is taken.
        attempt: Tells apart what arrives at the same time.
        items: As ``execute_apart`` yields them.
    """
    stage = store_root(base) / _ARRIVING / attempt
    arriving = _Arriving(items)
    try:
        stage.mkdir(parents=True)
        first = next(arriving, None)
        if first is not None:
            unpack(chain((first,), arriving), stage)
        for _ in arriving:  # the archive ends before the stream does
            pass
        for name in names:
            if os.path.lexists(stage / name):
                _settle(stage / name, base / name)
    except StorageError as exc:
        for _ in arriving:
            pass
        # files that end too early have their reason on the node
        failed = arriving.result and not json.loads(arriving.result)["succeeded"]
        return arriving.result if failed else refusal(attempt, exc)
    except OSError as exc:
        what = exc.filename or base
        return refusal(attempt, StorageError(f"cannot write {what}: {exc.strerror or exc}"))
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return arriving.result or refusal(attempt, StorageError("its node sent no result"))


def clear_arriving(base: Path) -> None:
    """Remove what was arriving when a driver was killed."""
    shutil.rmtree(store_root(base) / _ARRIVING, ignore_errors=True)


class _Arriving:
    """The pieces of the files, out of a stream whose last item is the result."""

    def __init__(self, items: Iterable[bytes]) -> None:
        self._items = iter(items)
        self.result = b""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        item = next(self._items)
        if item[:1] == _FILES:
            return item[1:]
        self.result = item[1:]
        return self.__next__()  # ends the iteration: the result is last


def _settle(source: Path, target: Path) -> None:
    """Move something to where it belongs, over what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.replace(target)


def refusal(attempt: str, error: ReproError) -> bytes:
    """Return the result of an attempt that failed by this."""
    result = TaskResult(id=attempt, succeeded=False, error=error.message, hint=error.hint)
    return json.dumps(result.to_dict()).encode()


def _kept(task: Task, shipment: Shipment, here: Path, result: TaskResult) -> dict[str, Path]:
    """Return what goes back, by name."""
    outputs = shipment.outputs if result.succeeded else ()
    names = (*outputs, *shipment.logs, task.log, artifacts_name(task))
    return {name: here / name for name in names if (here / name).exists()}


def _localised(task: Task, shipment: Shipment, here: Path) -> Task:
    """Return the task as it runs here: nothing in it names a place of the driver."""
    moves = {
        **{place: f"{here}/{OUTSIDE}{place}" for place in shipment.outside},
        shipment.package: str(Path(snakemake_repro.__file__).parent),
        shipment.base: str(here),
    }
    command = task.command
    call, benchmark = command.call, command.benchmark
    if isinstance(call, dict):
        places = {name: relocate(str(call[name]), moves) for name in ("path", "basedir")}
        caches = dict.fromkeys(
            ("sourcecache_path", "runtime_sourcecache_path"), str(here / _SOURCE_CACHE)
        )
        call = {**call, **places, **caches}
    if benchmark is not None:
        benchmark = dataclasses.replace(benchmark, path=relocate(benchmark.path, moves))
    return dataclasses.replace(
        task,
        workdir=str(here),
        command=dataclasses.replace(
            command,
            call=call,
            argv=tuple(relocate(word, moves) for word in command.argv),
            benchmark=benchmark,
        ),
        container=_moved(task.container, moves),
        members=tuple(
            dataclasses.replace(member, container=_moved(member.container, moves))
            for member in task.members
        ),
        known=None,  # no file here is one that the driver knows
    )


def _moved(request: ContainerRequest | None, moves: Mapping[str, str]) -> ContainerRequest | None:
    if request is None:
        return None
    return dataclasses.replace(
        request, sources=tuple(relocate(place, moves) for place in request.sources)
    )


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """Make a job's directory, for as long as the context; clear those of killed workers."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and left.stat().st_uid == os.getuid() and not alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    # tools compare paths as they are given to them with what they find
    here = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")).resolve()
    try:
        yield here
    finally:
        shutil.rmtree(here, ignore_errors=True)
