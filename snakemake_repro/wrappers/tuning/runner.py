"""Run the trials of a search in its slots, each in a directory of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning.helpers import FarSlot, Helpers, LostError
from snakemake_repro.wrappers.tuning.journal import Journal, Line
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.slots import Assignment, Ending, Report, Slot, slots_of
from snakemake_repro.wrappers.tuning.study import Question

AnySlot: TypeAlias = Slot | FarSlot

_LOSSES = 3
"""Of helpers under one trial; after that the job runs it itself."""
_PAUSE_S = 0.05


class Place:
    """A slot that is taken; another one where it was lost."""

    def __init__(self, slot: AnySlot) -> None:
        """Take a slot."""
        self.slot = slot


class Runner:
    """Slots of the job, and slots of its helpers as they come; threads may share it.

    Attributes:
        width: As many trials may run at once.
        closing: What runs is being ended, so that its end says nothing about a trial.
    """

    def __init__(self, order: Order, journal: Journal) -> None:
        """Set it up; processes start with the first trials.

        Raises:
            WrapperError: The job has too few GPUs, or an input is no table.
        """
        self._order = order
        self._directory = journal.directory
        self._free: queue.Queue[AnySlot] = queue.Queue()
        self._helpers = Helpers(cpus=order.cpus, gpus=order.gpus)
        offered = self._helpers.offered
        self._slots = slots_of(order.at_once, gpus=order.gpus, fewer=offered > 0)
        for slot in self._slots:
            self._free.put(slot)
        most = min(order.parallel, order.trials)
        helpers = max(0, min(offered, most - len(self._slots)))
        self.width = len(self._slots) + helpers
        self._data = self._shared()
        self.closing = False
        self._helpers.begin(helpers, self._free.put)

    @contextlib.contextmanager
    def place(self) -> Iterator[Place]:
        """Give the next slot that is free."""
        place = Place(self._free.get())
        try:
            yield place
        finally:
            self._free.put(place.slot)

    def run(self, place: Place, question: Question, report: Report) -> Line:
        """Run a trial to its end; it begins again elsewhere if its helper is lost."""
        ending = Ending()
        for losses in itertools.count():
            again = f"-{losses}" if losses else ""
            name = f"trial-{question.number}{again}-{os.getpid()}"
            if self.closing:
                break
            if losses > _LOSSES:
                place.slot = self._own(place.slot)
            try:
                ending = place.slot.run(self._assignment(question, name), report)
                if isinstance(place.slot, FarSlot):
                    self._helpers.proved()
                break
            except LostError as exc:
                if not self.closing:
                    self._helpers.lost(self._free.put, exc.refusal)
                    place.slot = self._free.get()
        return Line(
            number=question.number,
            chosen=question.chosen,
            values=tuple(question.judge.values),
            ending=ending,
            directory=name,
        )

    def _own(self, slot: AnySlot) -> Slot:
        """Return a slot of the job in exchange for another one."""
        while not isinstance(slot, Slot):
            self._free.put(slot)
            time.sleep(_PAUSE_S)
            slot = self._free.get()
        return slot

    def close(self) -> None:
        """End what runs."""
        self.closing = True
        self._helpers.close()
        for slot in self._slots:
            slot.close()

    def _shared(self) -> dict[str, str]:
        """Return the inputs that functions can map into memory; tables are unpacked once."""
        if self._order.kind != "function":
            return {}
        found = {}
        for name, path in self._order.inputs.items():
            if path.endswith(".npy"):
                found[name] = path
            elif path.endswith(".parquet"):
                found[name] = str(self._unpack(path, name))
        return found

    def _unpack(self, path: str, name: str) -> Path:
        import pyarrow as pa
        from pyarrow import parquet

        target: Path = self._directory / f"{name}.arrow"
        try:
            table = parquet.read_table(path)
        except (OSError, pa.ArrowException) as exc:
            raise WrapperError(f"{path}: expected a Parquet table, got: {exc}") from exc
        with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return target

    def _assignment(self, question: Question, name: str) -> Assignment:
        order = self._order
        # what does not exist yet is not looked up: a file system of the network remembers that
        directory = self._directory.resolve() / name
        suffix = Path(order.outputs["model"]).suffix if "model" in order.outputs else ""
        if order.kind == "wrapper" and not suffix:
            suffix = _model_suffix(order)
        return Assignment(
            number=question.number,
            kind=order.kind,
            what=order.trial[order.kind],
            params=question.params,
            objectives=tuple(name for name, _ in order.objectives),
            seed=(order.seed + question.number) % 2**32,
            search_seed=order.seed,
            threads=order.cpus,
            inputs=order.inputs,
            data=self._data,
            directory=directory,
            model=directory / f"model{suffix}",
            timeout_s=order.timeout_s,
        )


def _model_suffix(order: Order) -> str:
    """Return what our train wrappers call a model that nobody asked to keep."""
    family = str(order.trial["wrapper"]).partition("/")[0]
    suffixes = {
        "fastai": ".safetensors",
        "keras": ".keras",
        "lightgbm": ".txt",
        "pytorch": ".safetensors",
        "sklearn": ".joblib",
        "xgboost": ".ubj",
    }
    return suffixes.get(family, "")
