"""Decisions to prune a running trial, each kind from what it may know."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from snakemake_repro.wrappers.tuning.methods import STUDY


class Judge:
    """Takes a trial's intermediate values, and never prunes it.

    Attributes:
        values: Steps with their values; the first value of a step counts.
        pruned: Later values do not count.
    """

    def __init__(self, study: Any, trial: Any) -> None:
        """Take Optuna's study and trial."""
        self._study, self._trial = study, trial
        self.values: list[tuple[int, float]] = []
        self.pruned = False

    def report(self, step: int, value: float) -> bool:
        """Return whether the trial is pruned, now or before."""
        if not self.pruned and all(step != seen for seen, _ in self.values):
            self.values.append((step, value))
            self.pruned = self._decide(step, value)
        return self.pruned

    def tell(self, state: Any, values: Sequence[float] | None) -> None:
        """Give the study the trial's end."""
        for step, value in self.values:
            self._note(step, value)
        self._study.tell(self._trial, values, state=state)

    def _decide(self, step: int, value: float) -> bool:  # noqa: ARG002 - other kinds look at them
        return False

    def _note(self, step: int, value: float) -> None:
        # Optuna has no intermediate values where there are several objectives
        if len(self._study.directions) == 1:
            self._trial.report(value, step)


class LiveJudge(Judge):
    """Decides from all that is known at the moment: the asynchronous kind.

    With Optuna's ``SuccessiveHalvingPruner`` it is ASHA (Li et al. 2020, "A System for Massively
    Parallel Hyperparameter Tuning"): a trial that reaches a rung goes on or ends at once.
    """

    def tell(self, state: Any, values: Sequence[float] | None) -> None:
        """Give the study the trial's end; it has the intermediate values."""
        self._study.tell(self._trial, values, state=state)

    def _decide(self, step: int, value: float) -> bool:
        self._note(step, value)
        return len(self._study.directions) == 1 and bool(self._trial.should_prune())


class BatchJudge(Judge):
    """Decides from the trials of earlier batches and the trial's own values.

    Optuna's pruners look at all trials there are, so what they say depends on which trial of a
    batch is ahead. They are shown a study of their own here.
    """

    def __init__(self, study: Any, trial: Any, lock: threading.Lock) -> None:
        """Copy what is known when the batch begins.

        Args:
            study: With earlier batches, all ended, and this batch, all running.
            trial: Optuna's trial.
            lock: One for all trials of a batch; a pruner has a state.
        """
        super().__init__(study, trial)
        self._lock = lock
        self._shown: Any = None

    def tell(self, state: Any, values: Sequence[float] | None) -> None:
        """Give the study the trial's end; called in the order of the trials' numbers."""
        if self._shown is not None:
            storage = self._study._storage  # noqa: SLF001 - pruners keep their notes there
            shown = self._shown.study.get_trials(deepcopy=False)[self._trial.number]
            for name, note in shown.system_attrs.items():
                storage.set_trial_system_attr(self._trial._trial_id, name, note)  # noqa: SLF001
        super().tell(state, values)

    def _decide(self, step: int, value: float) -> bool:
        with self._lock:
            if self._shown is None:
                self._shown = self._show()
            self._shown.report(value, step)
            return bool(self._shown.should_prune())

    def _show(self) -> Any:
        import optuna
        from optuna.trial import Trial, TrialState, create_trial

        shown = optuna.create_study(
            study_name=STUDY, directions=self._study.directions, pruner=self._study.pruner
        )
        earlier = self._study.get_trials(deepcopy=False)[: self._trial.number]
        shown.add_trials(
            trial if trial.state.is_finished() else create_trial(state=TrialState.FAIL)
            for trial in earlier
        )
        shown.add_trial(create_trial(state=TrialState.RUNNING))
        number = self._trial.number
        return Trial(shown, shown.get_trials(deepcopy=False)[number]._trial_id)  # noqa: SLF001
