"""Ask for a batch of trials, run it, tell their results in the order of their numbers."""

from __future__ import annotations

import dataclasses
import os
import queue
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning import space
from snakemake_repro.wrappers.tuning.journal import Journal, Line, code_of
from snakemake_repro.wrappers.tuning.methods import STUDY, Judge, pruner_of, sampler_of
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.slots import Assignment, Slot, devices_of

_GRID = 100_000
"""Combinations that a grid may have at most: all of them are queued."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """An ended trial.

    Attributes:
        chosen: What the sampler chose, by the names of the dimensions.
        params: What the trial was given.
        state: ``complete``, ``pruned`` or ``failed``.
        measured: One for each objective; of a pruned trial, its last one where it has any.
        steps: Intermediate values, up to the one that it was pruned for.
        directory: Of its own; gone unless it is the best.
    """

    number: int
    chosen: Mapping[str, Any]
    params: Mapping[str, Any]
    state: str
    measured: tuple[float, ...] | None
    steps: tuple[tuple[int, float], ...]
    problem: str | None
    directory: Path


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        tried: All trials in the order of their numbers.
        best: The best one, or those that no other beats in every objective; the earliest first.
        study: Optuna's.
        resumed: Trials that an earlier, killed search had done.
        reason: Why it ended: ``trials``, ``time``, ``patience`` or ``grid``.
    """

    tried: tuple[Tried, ...]
    best: tuple[Tried, ...]
    study: Any
    resumed: int
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    trial: Any
    params: Mapping[str, Any]
    judge: Judge


class Search:
    """A search under way; a context, which ends what runs when it is left."""

    def __init__(self, order: Order) -> None:
        """Prepare it.

        Raises:
            WrapperError: It cannot be done as ordered.
        """
        import optuna
        from optuna.study import StudyDirection

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # what Optuna calls experimental is pinned by the environment's lock like everything else
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._order = order
        self._study = optuna.create_study(
            study_name=STUDY,
            directions=[StudyDirection[direction.upper()] for _, direction in order.objectives],
            sampler=sampler_of(order),
            pruner=pruner_of(order),
        )
        self._limit = order.trials
        if order.sampler[0] == "grid":
            self._limit = min(order.trials, self._queue_grid())
        slots = [Slot(devices_of(order.gpus, index)) for index in range(order.at_once)]
        self._journal = Journal(order)
        self._slots = slots
        self._free: queue.Queue[Slot] = queue.Queue()
        for slot in slots:
            self._free.put(slot)
        self._closing = False
        self._data = self._shared()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what runs."""
        self._closing = True
        for slot in self._slots:
            slot.close()

    def run(self) -> Found:
        """Run it to its end.

        Raises:
            WrapperError: No trial came to its end.
        """
        started = time.monotonic()
        tried: list[Tried] = []
        best: tuple[Tried, ...] = ()
        resumed = 0
        reason = "trials" if self._limit == self._order.trials else "grid"
        with ThreadPoolExecutor(self._order.at_once) as pool:
            try:
                while len(tried) < self._limit:
                    size = min(self._order.parallel, self._limit - len(tried))
                    batch = self._ask(size)
                    resumed += sum(asked.trial.number in self._journal.known for asked in batch)
                    lines = list(pool.map(self._do, batch))
                    tried += [self._tell(*pair) for pair in zip(batch, lines, strict=True)]
                    best = self._best(tried)
                    self._journal.keep_only({one.directory.name for one in best})
                    if self._stale(tried, best):
                        reason = "patience"
                        break
                    if time.monotonic() - started > (self._order.time_s or float("inf")):
                        reason = "time"
                        break
            except BaseException:
                self.__exit__()  # threads wait for their trials
                raise
        if not best:
            raise WrapperError(
                f"expected at least one of {len(tried)} trials to end with a value, got none; the "
                f"last: {tried[-1].problem or tried[-1].state}",
                hint="the job's log has what the trials printed",
            )
        return Found(
            tried=tuple(tried), best=best, study=self._study, resumed=resumed, reason=reason
        )

    def done(self) -> None:
        """Forget the trials: the results are written."""
        self._journal.remove()

    def _queue_grid(self) -> int:
        number = 0
        for number, values in enumerate(space.grid(self._order.choose), 1):
            if number > min(_GRID, self._order.trials):
                return number
            self._study.enqueue_trial(values)
        return number

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

        target: Path = self._journal.directory / f"{name}.arrow"
        try:
            table = parquet.read_table(path)
        except (OSError, pa.ArrowException) as exc:
            raise WrapperError(f"{path}: expected a Parquet table, got: {exc}") from exc
        with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return target

    def _ask(self, size: int) -> list[_Asked]:
        lock = threading.Lock()
        batch = []
        for _ in range(size):
            trial = self._study.ask()
            fixed = self._order.trial.get("params", {})
            params = {**fixed, **self._order.choose(trial)}
            judge = Judge(self._study, trial, lock)
            batch.append(_Asked(trial=trial, params=params, judge=judge))
        return batch

    def _do(self, asked: _Asked) -> Line:
        """Run a trial, or take what is known of it; decisions to prune are made again."""
        number = asked.trial.number
        known = self._journal.known.get(number)
        if known is not None and dict(known.chosen) == asked.trial.params:
            for step, value in known.values:
                asked.judge.report(step, value)
            return known
        name = f"trial-{number}-{os.getpid()}"
        slot = self._free.get()
        try:
            ending = slot.run(self._assignment(asked, name), self._report(asked.judge))
        finally:
            self._free.put(slot)
        line = Line(
            number=number,
            chosen=asked.trial.params,
            values=tuple(asked.judge.values),
            ending=ending,
            directory=name,
        )
        if not self._closing:
            self._journal.append(line)
        return line

    def _report(self, judge: Judge) -> Any:
        return judge.report if self._order.pruner[0] != "none" else judge.note

    def _assignment(self, asked: _Asked, name: str) -> Assignment:
        order = self._order
        directory = (self._journal.directory / name).resolve()
        suffix = Path(order.outputs["model"]).suffix if "model" in order.outputs else ""
        if order.kind == "wrapper" and not suffix:
            suffix = _model_suffix(order)
        return Assignment(
            number=asked.trial.number,
            kind=order.kind,
            what=str(code_of(order)) if order.kind == "wrapper" else order.trial[order.kind],
            params=asked.params,
            objectives=tuple(name for name, _ in order.objectives),
            seed=(order.seed + asked.trial.number) % 2**32,
            search_seed=order.seed,
            threads=order.cpus,
            inputs=order.inputs,
            data=self._data,
            directory=directory,
            model=directory / f"model{suffix}",
            timeout_s=order.timeout_s,
        )

    def _tell(self, asked: _Asked, line: Line) -> Tried:
        from optuna.trial import TrialState

        judge, values = asked.judge, line.ending.values
        if judge.pruned:
            state, problem = "pruned", None
            values = (judge.values[-1][1],)
            judge.tell(TrialState.PRUNED, None)
        elif values is not None:
            state, problem = "complete", None
            judge.tell(TrialState.COMPLETE, values)
        else:
            state, problem = "failed", line.ending.problem
            judge.tell(TrialState.FAIL, None)
        return Tried(
            number=asked.trial.number,
            chosen=asked.trial.params,
            params=asked.params,
            state=state,
            measured=values,
            steps=tuple(judge.values),
            problem=problem,
            directory=self._journal.directory / line.directory,
        )

    def _best(self, tried: list[Tried]) -> tuple[Tried, ...]:
        complete = [one for one in tried if one.state == "complete" and one.measured is not None]
        signs = [1 if direction == "minimize" else -1 for _, direction in self._order.objectives]
        costs = [tuple(s * v for s, v in zip(signs, one.measured or (), strict=True))
                 for one in complete]  # fmt: skip
        if len(signs) == 1:
            return (complete[costs.index(min(costs))],) if complete else ()
        return tuple(
            one
            for one, cost in zip(complete, costs, strict=True)
            if not any(_dominates(other, cost) for other in costs)
        )

    def _stale(self, tried: list[Tried], best: tuple[Tried, ...]) -> bool:
        patience = self._order.patience
        if patience is None:
            return False
        return bool(best) and len(tried) - 1 - best[0].number >= patience


def lasted(found: Found) -> Iterator[Tried]:
    """Yield the trials that came to their end."""
    return (one for one in found.tried if one.state == "complete")


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


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
