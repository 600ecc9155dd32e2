"""Optuna's study of a search: ask it for trials, tell it their ends."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.wrappers.tuning import space
from snakemake_repro.wrappers.tuning.judges import Judge
from snakemake_repro.wrappers.tuning.methods import STUDY, pruner_of, sampler_of
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.slots import Ending
from snakemake_repro.wrappers.tuning.trials import Tried

_GRID = 100_000
"""Combinations that a grid may have at most: all of them are queued."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A trial that was asked for and has no end yet.

    Attributes:
        trial: Optuna's.
        params: What the trial is given.
        judge: Takes its intermediate values.
    """

    trial: Any
    params: Mapping[str, Any]
    judge: Judge

    @property
    def number(self) -> int:
        """0 for the first trial."""
        return int(self.trial.number)

    @property
    def chosen(self) -> dict[str, Any]:
        """What the sampler chose, by the names of the dimensions."""
        chosen: dict[str, Any] = self.trial.params
        return chosen


class Study:
    """What the sampler and the pruner know; for one thread at a time.

    Attributes:
        optuna: Optuna's study.
        limit: How many trials there are at most.
        reason: What ends the search at the limit: ``trials`` or ``grid``.
    """

    def __init__(self, order: Order) -> None:
        """Make it, empty.

        Raises:
            WrapperError: Sampler, pruner or grid cannot be made as ordered.
        """
        import optuna
        from optuna.study import StudyDirection

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # what Optuna calls experimental is pinned by the environment's lock like everything else
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._order = order
        self.optuna = optuna.create_study(
            study_name=STUDY,
            directions=[StudyDirection[direction.upper()] for _, direction in order.objectives],
            sampler=sampler_of(order),
            pruner=pruner_of(order),
        )
        self.limit = order.trials
        if order.sampler[0] == "grid":
            self.limit = min(order.trials, self._queue_grid())
        self.reason = "trials" if self.limit == order.trials else "grid"

    def ask(self, judge_of: Callable[[Any, Any], Judge]) -> Question:
        """Ask for a trial.

        Args:
            judge_of: Makes the judge from Optuna's study and trial.
        """
        trial = self.optuna.ask()
        fixed = self._order.trial.get("params", {})
        params = {**fixed, **self._order.choose(trial)}
        return Question(trial=trial, params=params, judge=judge_of(self.optuna, trial))

    def tell(self, question: Question, ending: Ending, directory: Path) -> Tried:
        """Take a trial's end; one that its judge pruned has no other."""
        from optuna.trial import TrialState

        judge, values, problem = question.judge, ending.values, None
        if judge.pruned:
            state, values = "pruned", (judge.values[-1][1],)
            judge.tell(TrialState.PRUNED, None)
        elif values is not None:
            state = "complete"
            judge.tell(TrialState.COMPLETE, values)
        else:
            state, problem = "failed", ending.problem
            judge.tell(TrialState.FAIL, None)
        return Tried(
            number=question.number,
            chosen=question.chosen,
            params=question.params,
            state=state,
            measured=values,
            steps=tuple(judge.values),
            problem=problem,
            directory=directory,
        )

    def _queue_grid(self) -> int:
        number = 0
        for number, values in enumerate(space.grid(self._order.choose), 1):
            if number > min(_GRID, self._order.trials):
                return number
            self.optuna.enqueue_trial(values)
        return number
