"""Run the trials of a search in its slots, each in a directory of its own."""

from __future__ import annotations

import os
import queue
from pathlib import Path

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning.journal import Journal, Line, code_of
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.slots import Assignment, Report, Slot, devices_of
from snakemake_repro.wrappers.tuning.study import Question


class Runner:
    """As many slots as trials run at once; threads may share it.

    Attributes:
        closing: What runs is being ended, so that its end says nothing about a trial.
    """

    def __init__(self, order: Order, journal: Journal) -> None:
        """Set it up; processes start with the first trials.

        Raises:
            WrapperError: The job has too few GPUs, or an input is no table.
        """
        self._order = order
        self._directory = journal.directory
        self._slots = [Slot(devices_of(order.gpus, index)) for index in range(order.at_once)]
        self._free: queue.Queue[Slot] = queue.Queue()
        for slot in self._slots:
            self._free.put(slot)
        self._data = self._shared()
        self.closing = False

    def run(self, question: Question, report: Report) -> Line:
        """Run a trial to its end in the next free slot."""
        name = f"trial-{question.number}-{os.getpid()}"
        slot = self._free.get()
        try:
            ending = slot.run(self._assignment(question, name), report)
        finally:
            self._free.put(slot)
        return Line(
            number=question.number,
            chosen=question.chosen,
            values=tuple(question.judge.values),
            ending=ending,
            directory=name,
        )

    def close(self) -> None:
        """End what runs."""
        self.closing = True
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
        directory = (self._directory / name).resolve()
        suffix = Path(order.outputs["model"]).suffix if "model" in order.outputs else ""
        if order.kind == "wrapper" and not suffix:
            suffix = _model_suffix(order)
        return Assignment(
            number=question.number,
            kind=order.kind,
            what=str(code_of(order)) if order.kind == "wrapper" else order.trial[order.kind],
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
