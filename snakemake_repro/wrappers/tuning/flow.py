"""Run trials without batches, and note the order of what happens; or repeat a noted order."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections import deque
from concurrent.futures import FIRST_EXCEPTION, Executor, wait

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning import events
from snakemake_repro.wrappers.tuning.events import Asked, Ended, Event, Record, Told
from snakemake_repro.wrappers.tuning.journal import Journal, Line
from snakemake_repro.wrappers.tuning.judges import LiveJudge
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.runner import Runner
from snakemake_repro.wrappers.tuning.slots import Ending
from snakemake_repro.wrappers.tuning.study import Question, Study
from snakemake_repro.wrappers.tuning.trials import Course, Tried, best_of, stale


@dataclasses.dataclass(kw_only=True, slots=True)
class _Part:
    """A trial, with what is already noted of it.

    Attributes:
        left: Noted values by step that this execution has not reported yet.
        tried: Its noted end; ``None`` where it has none yet.
    """

    question: Question
    left: dict[int, Told] = dataclasses.field(default_factory=dict)
    tried: Tried | None = None


class Flow:
    """An asynchronous search.

    What the sampler and the pruner know is decided by the order of events alone. So what is noted
    is given to them at once, without waiting for any trial: after that all parameters and all
    decisions to prune are known, and the trials can run again in any order and at any speed.
    """

    def __init__(self, order: Order, study: Study, journal: Journal, runner: Runner) -> None:
        """Take what it works with."""
        self._order, self._study = order, study
        self._journal, self._runner = journal, runner
        # for the study, and all that follows
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._pending: deque[_Part] = deque()
        self._tried: dict[int, Tried] = {}
        self._best: tuple[Tried, ...] = ()
        self._asked = 0
        self._resumed = 0
        self._reason: str | None = None
        self._started = time.monotonic()

    def run(self, pool: Executor) -> Course:
        """Run it to its end.

        Args:
            pool: Runs as many trials at once as there are slots.

        Raises:
            WrapperError: The noted order does not fit.
        """
        repeated = self._journal.repeated
        self._replay(self._journal.events if repeated is None else repeated.events)
        if repeated is not None:
            self._reason = repeated.reason
            # failures are not made again: those by timeout cannot be, and none is part of a result
            self._pending = deque(
                part for part in self._pending if part.tried and part.tried.state != "failed"
            )
        else:
            self._settle()
        workers = [pool.submit(self._work) for _ in range(self._runner.width)]
        for worker in wait(workers, return_when=FIRST_EXCEPTION).done:
            worker.result()
        assert self._reason is not None
        record = Record(
            search=self._journal.search, events=tuple(self._events), reason=self._reason
        )
        tried = tuple(self._tried.values())
        return Course(tried=tried, resumed=self._resumed, reason=self._reason, record=record)

    def _replay(self, noted: tuple[Event, ...]) -> None:
        """Give the study all that is noted, and queue the trials."""
        parts: dict[int, _Part] = {}
        for line, event in enumerate(noted, 2):  # the first line says which search it is
            expected = events.to_json(event)
            try:
                got = events.to_json(self._again(event, parts))
            except (KeyError, TypeError, ValueError) as exc:
                raise self._misfit(f"line {line}", "an event of this search", expected) from exc
            if got != expected:
                raise self._misfit(f"line {line}", expected, got)
        self._events += noted
        self._pending += parts.values()
        missing = [number for number, part in parts.items() if part.tried is None]
        if missing and self._journal.repeated is not None:
            raise self._misfit("its end", "an end of every trial", f"none of trial {missing[0]}")

    def _again(self, event: Event, parts: dict[int, _Part]) -> Event:
        """Let an event happen again, and return what happened."""
        if isinstance(event, Asked):
            question = self._ask()
            parts[question.number] = _Part(question=question)
            return Asked(trial=question.number, chosen=question.chosen)
        part = parts[event.trial]
        if isinstance(event, Told):
            part.left[event.step] = event
            pruned = part.question.judge.report(event.step, event.value)
            return dataclasses.replace(event, pruned=pruned)
        ending = Ending(values=event.values if event.state == "complete" else None)
        # its directory is known when it ran
        directory = self._journal.directory / f"trial-{event.trial}"
        part.tried = self._study.tell(part.question, ending, directory)
        self._tried[event.trial] = part.tried
        return Ended(trial=event.trial, state=part.tried.state, values=part.tried.measured)

    def _ask(self) -> Question:
        self._asked += 1
        return self._study.ask(LiveJudge)

    def _work(self) -> None:
        """Run trials one after the other, as long as there are any."""
        while True:
            with self._runner.place() as place:  # before asking: later ends say more
                part = self._next()
                if part is None:
                    return
                line = self._known(part)
                if line is None:
                    report = functools.partial(self._report, part)
                    line = self._runner.run(place, part.question, report)
                    if self._runner.closing:
                        return
                    self._check(part, line)
                    self._journal.append(line)
                self._end(part, line)

    def _next(self) -> _Part | None:
        with self._lock:
            if self._pending:
                return self._pending.popleft()
            if self._reason is not None or self._runner.closing:
                return None
            question = self._ask()
            self._note(Asked(trial=question.number, chosen=question.chosen))
            self._settle()
            return _Part(question=question)

    def _known(self, part: _Part) -> Line | None:
        """Return what a killed search knows of an ended trial, its values reported."""
        known = self._journal.recall(part.question.number, part.question.chosen)
        if known is None:
            return None
        for step, value in known.values:
            self._report(part, step, value)
        with self._lock:
            self._resumed += 1
        return known

    def _report(self, part: _Part, step: int, value: float) -> bool:
        """Take an intermediate value; return whether the trial is pruned.

        Raises:
            WrapperError: Another value is noted in the order that is repeated.
        """
        judge, number = part.question.judge, part.question.number
        with self._lock:
            told = part.left.pop(step, None)
            if told is not None:
                if self._journal.repeated is not None and repr(told.value) != repr(value):
                    raise self._misfit(
                        f"trial {number}", f"{told.value} at step {step}", f"{value}"
                    )
                return told.pruned
            if any(step == seen for seen, _ in judge.values):
                # the first value of a step counts; a noted end waits for the values before it
                return judge.pruned and not part.left
            if part.tried is None:
                pruned = judge.report(step, value)
                if judge.values[-1][0] == step:
                    self._note(Told(trial=number, step=step, value=value, pruned=pruned))
                return pruned
            if not judge.pruned and self._journal.repeated is not None:
                raise self._misfit(f"trial {number}", f"no value at step {step}", f"{value}")
            return judge.pruned and not part.left

    def _check(self, part: _Part, line: Line) -> None:
        """Check that a trial ended as it is noted in the order that is repeated.

        Raises:
            WrapperError: It did not.
        """
        tried = part.tried
        if self._journal.repeated is None or tried is None:
            return
        if not part.left and (tried.state == "pruned" or line.ending.values == tried.measured):
            return
        steps = len(tried.steps)
        raise self._misfit(
            f"trial {tried.number}",
            f"{tried.state} with {list(tried.measured or ())} after {steps} intermediate values",
            f"{line.ending.problem or list(line.ending.values or ())} after "
            f"{steps - len(part.left)}",
        )

    def _end(self, part: _Part, line: Line) -> None:
        directory = self._journal.directory / line.directory
        with self._lock:
            if part.tried is None:
                tried = self._study.tell(part.question, line.ending, directory)
                self._note(Ended(trial=tried.number, state=tried.state, values=tried.measured))
            else:
                tried = dataclasses.replace(part.tried, directory=directory)
            self._tried[tried.number] = tried
            self._keep_best(tried)
            self._settle()

    def _keep_best(self, ended: Tried) -> None:
        """Remove the directory of a trial, unless it is the best, and of what it surpasses."""
        before = self._best
        self._best = best_of(self._order.objectives, tuple(self._tried.values()))
        kept = {one.directory for one in self._best}
        for one in (*before, ended):
            if one.directory not in kept:
                self._journal.drop(one.directory)

    def _settle(self) -> None:
        """Decide whether trials are still asked for."""
        if self._reason is not None:
            return
        tried = tuple(self._tried.values())
        if self._asked >= self._study.limit:
            self._reason = self._study.reason
        elif stale(self._order.patience, tried, self._best):
            self._reason = "patience"
        elif time.monotonic() - self._started > (self._order.time_s or float("inf")):
            self._reason = "time"

    def _note(self, event: Event) -> None:
        self._events.append(event)
        self._journal.note(event)

    def _misfit(self, what: str, expected: str, got: str) -> WrapperError:
        if self._order.repeats is not None:
            return events.misfit(self._order.repeats, what, expected, got)
        return WrapperError(
            f"{self._journal.directory}: {what}: expected {expected} as noted, got {got}",
            hint="remove the directory; the search begins anew",
        )
