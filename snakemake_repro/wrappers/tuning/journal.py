"""Ended trials and the order of events on disk, so that a killed search goes on where it was."""

from __future__ import annotations

import dataclasses
import errno
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from snakemake_repro.backends.files import hash_file, observe
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.plain import describe
from snakemake_repro.wrappers import folder_of
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning import events
from snakemake_repro.wrappers.tuning.events import Event, Record
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.slots import Ending

_FOLDER = Path(".repro", "tuning")
_SCHEME = "Search/1"
_LIBRARIES = ("optuna", "numpy", "cmaes", "scipy")
_NAME_DIGITS = 24

_Entry = TypeVar("_Entry")


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
    """What happened in one search, in a directory named by what determines its results.

    Attributes:
        search: JSON of what determines it, beside the order of events.
        known: Ended trials by their numbers.
        events: What happened in it, if it is asynchronous and repeats nothing.
        repeated: The search that it repeats; ``None`` where it repeats none.
    """

    def __init__(self, order: Order) -> None:
        """Open it; anything that another search left has another name.

        Raises:
            StorageError: An input cannot be read.
            WrapperError: The order to repeat cannot be read, or is of another search.
        """
        described = _described(order)
        digest = digest_of(_SCHEME, describe(_named(order, described)))
        length = {"trials": order.trials, "patience": order.patience}
        self.search: Mapping[str, Any] = json.loads(json.dumps(describe(described | length)))
        self.repeated = _repeated(order, self.search)
        self.directory = _directory(digest.value[:_NAME_DIGITS])
        self._trials = self.directory / "trials.jsonl"
        self._order = self.directory / "order.jsonl"
        lines = _whole(self._trials, Line.parse)
        self.known = {line.number: line for line in lines}
        self.events = tuple(_whole(self._order, events.parse))

    def recall(self, number: int, chosen: Mapping[str, Any]) -> Line | None:
        """Return what is known of a trial, if it was the same that is asked for now."""
        line = self.known.get(number)
        return None if line is None or dict(line.chosen) != chosen else line

    def append(self, line: Line) -> None:
        """Write a trial; it is on disk on return."""
        with self._trials.open("a") as file:
            file.write(line.to_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def note(self, event: Event) -> None:
        """Write what happened in an asynchronous search; a kill of the process does not lose it."""
        with self._order.open("a") as file:
            file.write(events.to_json(event) + "\n")

    def keep_only(self, names: set[str]) -> None:
        """Remove the directories of all ended trials but these."""
        for path in self.directory.glob("trial-*"):
            if path.name not in names:
                self.drop(path)

    def drop(self, directory: Path) -> None:
        """Remove the directory of a trial, as far as nobody writes there any more."""
        shutil.rmtree(directory, ignore_errors=True)

    def remove(self) -> None:
        """Remove it, so that a search that is asked for again is made again."""
        for path in (self._trials, self._order):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def _whole(path: Path, parse: Callable[[str], _Entry]) -> list[_Entry]:
    """Return what the whole lines of a file say, and cut off what a kill left behind them."""
    found: list[_Entry] = []
    try:
        texts = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    for text in texts:
        try:
            found.append(parse(text))
        except ValueError:
            break  # cut off by a kill; nothing was written behind it
    # it must not swallow the next line
    path.write_text("".join(f"{text}\n" for text in texts[: len(found)]))
    return found


def _repeated(order: Order, search: Mapping[str, Any]) -> Record | None:
    if order.repeats is None:
        return None
    try:
        text = Path(order.repeats).read_text()
    except (OSError, UnicodeError) as exc:
        raise WrapperError(f"input: {order.repeats}: cannot be read as order=: {exc}") from exc
    record = Record.parse(text, order.repeats)
    events.check_search(record, search, order.repeats)
    return record


def code_of(order: Order) -> Path | None:
    """Return the file with a trial's code, if it is one.

    Raises:
        WrapperError: It is not there.
    """
    what = str(order.trial[order.kind])
    if order.kind == "wrapper":
        return folder_of(what) / "wrapper.py"
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


def _described(order: Order) -> dict[str, Any]:
    """Return what determines the results of a search, but for how long it may go on."""
    code = code_of(order)
    try:
        inputs = {name: _observed(path) for name, path in sorted(order.inputs.items())}
        source = None if code is None else str(hash_file(code)[0])
    except StorageError as exc:
        raise WrapperError(f"input: {exc.message}", hint=exc.hint) from exc
    described = {
        field: getattr(order, field)
        for field in (
            "trial", "space", "objectives", "sampler", "pruner", "seed", "parallel", "cpus", "gpus",
        )
    }  # fmt: skip
    described |= {"inputs": inputs, "code": source, "python": list(sys.version_info[:2])}
    described["libraries"] = {name: _version(name) for name in _LIBRARIES}
    return described


def _named(order: Order, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what names a search: what determines it, and where its results lie."""
    named = {**described, "timeout_s": order.timeout_s, "outputs": order.outputs}
    if order.asynchronous:
        repeats = None if order.repeats is None else _observed(order.repeats)
        named["asynchronous"] = {"repeats": repeats}
    return named


def _observed(path: str) -> str:
    return str(observe(Path(path), root=Path.cwd()).digest)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
