"""Ended trials on disk, so that a search that was killed goes on where it was."""

from __future__ import annotations

import dataclasses
import errno
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.backends.files import hash_file, observe
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.plain import describe
from snakemake_repro.wrappers import wrapper
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.slots import Ending

_FOLDER = Path(".repro", "tuning")
_SCHEME = "Search/1"
_LIBRARIES = ("optuna", "numpy", "cmaes", "scipy")
_NAME_DIGITS = 24


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What is known of an ended trial.

    Attributes:
        chosen: What the sampler chose, by the names of the dimensions.
        values: Intermediate ones as they were reported.
        directory: Name of its own.
    """

    number: int
    chosen: Mapping[str, Any]
    values: tuple[tuple[int, float], ...]
    ending: Ending
    directory: str

    def to_json(self) -> str:
        """Return one line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def parse(cls, text: str) -> Line:
        """Return what a line says.

        Raises:
            ValueError: It is no whole line.
        """
        data = json.loads(text)
        values = data["ending"]["values"]
        ending = Ending(
            values=None if values is None else tuple(values), problem=data["ending"]["problem"]
        )
        reported = tuple((step, value) for step, value in data["values"])
        return cls(**{**data, "values": reported, "ending": ending})


class Journal:
    """The ended trials of one search, in a directory named by what determines their results."""

    def __init__(self, order: Order) -> None:
        """Open it; anything that another search left has another name.

        Raises:
            StorageError: An input cannot be read.
        """
        digest = _digest(order)
        self.digest = str(digest)
        self.directory = _directory(digest.value[:_NAME_DIGITS])
        self._path = self.directory / "trials.jsonl"
        self.known = {line.number: line for line in self._read()}
        # what a kill cut off stays without an end, and must not swallow the next line
        whole = "".join(f"{line.to_json()}\n" for line in self.known.values())
        self._path.write_text(whole)

    def append(self, line: Line) -> None:
        """Write a trial; it is on disk on return."""
        with self._path.open("a") as file:
            file.write(line.to_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def keep_only(self, names: set[str]) -> None:
        """Remove the directories of all ended trials but these."""
        for path in self.directory.glob("trial-*"):
            if path.name not in names:
                shutil.rmtree(path)

    def remove(self) -> None:
        """Remove it, so that a search that is asked for again is made again."""
        shutil.rmtree(self.directory)

    def _read(self) -> list[Line]:
        lines = []
        try:
            texts = self._path.read_text().splitlines()
        except FileNotFoundError:
            return []
        for text in texts:
            try:
                lines.append(Line.parse(text))
            except ValueError:
                break  # cut off by a kill; nothing was written behind it
        return lines


def code_of(order: Order) -> Path | None:
    """Return the file with a trial's code, if it is one.

    Raises:
        WrapperError: It is not there.
    """
    what = str(order.trial[order.kind])
    if order.kind == "wrapper":
        return Path(wrapper(what).removeprefix("file://"), "wrapper.py")
    path = Path(what.rpartition(":")[0] if order.kind == "function" else what)
    if order.kind == "function" and path.suffix != ".py":
        return None
    if not path.is_file():
        raise WrapperError(
            f"params: trial: expected a file as {order.kind}, got {str(path)!r}, which is missing",
            hint="paths are relative to the working directory",
        )
    return path


def _directory(name: str) -> Path:
    """Make and return the directory of a search.

    A hermetic job may write nothing that its rule does not declare: there the search lives among
    the job's temporary files, and one that is killed begins anew.
    """
    directory = _FOLDER / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        if exc.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        return Path(tempfile.mkdtemp(prefix="repro-tuning-"))
    return directory


def _digest(order: Order) -> Any:
    """Return what names a search: everything but how long it may go on."""
    code = code_of(order)
    root = Path.cwd()
    try:
        inputs = {name: str(observe(Path(path), root=root).digest)
                  for name, path in sorted(order.inputs.items())}  # fmt: skip
        source = None if code is None else str(hash_file(code)[0])
    except StorageError as exc:
        raise WrapperError(f"input: {exc.message}", hint=exc.hint) from exc
    described = {
        field: getattr(order, field)
        for field in (
            "trial", "space", "objectives", "sampler", "pruner", "seed", "parallel", "cpus",
            "gpus", "timeout_s", "outputs",
        )
    }  # fmt: skip
    described |= {"inputs": inputs, "code": source, "python": list(sys.version_info[:2])}
    described["libraries"] = {name: _version(name) for name in _LIBRARIES}
    return digest_of(_SCHEME, describe(described))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
