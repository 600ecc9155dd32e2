"""Ask for a batch of trials, run it, tell their results in the order of their numbers."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor

from snakemake_repro.wrappers.tuning.journal import Journal, Line
from snakemake_repro.wrappers.tuning.judges import BatchJudge, Judge
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.runner import Runner
from snakemake_repro.wrappers.tuning.study import Question, Study
from snakemake_repro.wrappers.tuning.trials import Course, Tried, best_of, stale


class Batches:
    """A search in batches: what a trial depends on is decided before its batch begins."""

    def __init__(self, order: Order, study: Study, journal: Journal, runner: Runner) -> None:
        """Take what it works with."""
        self._order, self._study = order, study
        self._journal, self._runner = journal, runner

    def run(self, pool: Executor) -> Course:
        """Run it to its end.

        Args:
            pool: Runs as many trials at once as there are slots.
        """
        started = time.monotonic()
        tried: list[Tried] = []
        resumed = 0
        reason = self._study.reason
        while len(tried) < self._study.limit:
            batch = self._ask(min(self._order.parallel, self._study.limit - len(tried)))
            resumed += sum(question.number in self._journal.known for question in batch)
            lines = list(pool.map(self._do, batch))
            tried += [self._tell(*pair) for pair in zip(batch, lines, strict=True)]
            best = best_of(self._order.objectives, tried)
            self._journal.keep_only({one.directory.name for one in best})
            if stale(self._order.patience, tried, best):
                reason = "patience"
                break
            if time.monotonic() - started > (self._order.time_s or float("inf")):
                reason = "time"
                break
        return Course(tried=tuple(tried), resumed=resumed, reason=reason)

    def _ask(self, size: int) -> list[Question]:
        lock = threading.Lock()
        if self._order.pruner[0] == "none":
            return [self._study.ask(Judge) for _ in range(size)]
        return [
            self._study.ask(lambda study, trial: BatchJudge(study, trial, lock))
            for _ in range(size)
        ]

    def _do(self, question: Question) -> Line:
        """Run a trial, or take what is known of it; decisions to prune are made again."""
        known = self._journal.recall(question.number, question.chosen)
        if known is not None:
            for step, value in known.values:
                question.judge.report(step, value)
            return known
        with self._runner.place() as place:
            line = self._runner.run(place, question, question.judge.report)
        if not self._runner.closing:
            self._journal.append(line)
        return line

    def _tell(self, question: Question, line: Line) -> Tried:
        directory = self._journal.directory / line.directory
        return self._study.tell(question, line.ending, directory)
