"""Optuna's samplers and pruners, and the decision to prune, made the same in every run."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning.order import Order

STUDY = "tune"
"""Hyperband takes a trial's bracket from its number and the study's name."""


def sampler_of(order: Order) -> Any:
    """Return Optuna's sampler, seeded.

    Raises:
        WrapperError: It does not take the options.
    """
    from optuna import samplers

    name, options = order.sampler
    seed = order.seed
    quiet = {"warn_independent_sampling": False}
    kinds: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
        # the combinations of a grid are queued, see search.py; nothing is sampled
        "grid": (samplers.RandomSampler, {}),
        "random": (samplers.RandomSampler, {}),
        "tpe": (samplers.TPESampler, {}),
        "cmaes": (
            samplers.CmaEsSampler,
            {**quiet, "independent_sampler": samplers.RandomSampler(seed=seed)},
        ),
        "qmc": (
            samplers.QMCSampler,
            {
                **quiet,
                "scramble": True,
                "warn_asynchronous_seeding": False,
                "independent_sampler": samplers.RandomSampler(seed=seed),
            },
        ),
    }
    kind, own = kinds[name]
    return _made(kind, {**own, **options, "seed": seed}, f"sampler_options= of {name}")


def pruner_of(order: Order) -> Any:
    """Return Optuna's pruner.

    Raises:
        WrapperError: It does not take the options.
    """
    from optuna import pruners

    name, options = order.pruner
    kinds: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
        "none": (pruners.NopPruner, {}),
        "median": (pruners.MedianPruner, {}),
        "percentile": (pruners.PercentilePruner, {"percentile": 25.0}),
        "sha": (pruners.SuccessiveHalvingPruner, {}),
        "hyperband": (pruners.HyperbandPruner, {}),
    }
    kind, own = kinds[name]
    return _made(kind, {**own, **options}, f"pruner_options= of {name}")


def _made(kind: Any, options: Mapping[str, Any], what: str) -> Any:
    try:
        return kind(**options)
    except (TypeError, ValueError) as exc:
        raise WrapperError(f"params: {what}: {exc}") from exc


class Judge:
    """Decides on one running trial from the trials of earlier batches and its own values.

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
        self._study, self._trial, self._lock = study, trial, lock
        self._shown: Any = None
        self.values: list[tuple[int, float]] = []
        self.pruned = False

    def report(self, step: int, value: float) -> bool:
        """Return whether the trial is pruned, now or before; later values do not count."""
        if self.pruned or any(step == seen for seen, _ in self.values):
            return self.pruned
        self.values.append((step, value))
        with self._lock:
            if self._shown is None:
                self._shown = self._show()
            self._shown.report(value, step)
            self.pruned = bool(self._shown.should_prune())
        return self.pruned

    def note(self, step: int, value: float) -> bool:
        """Take a value where nothing is pruned."""
        if all(step != seen for seen, _ in self.values):
            self.values.append((step, value))
        return False

    def tell(self, state: Any, values: Sequence[float] | None) -> None:
        """Give the study the trial's end; called in the order of the trials' numbers."""
        for step, value in self.values:
            self._trial.report(value, step)
        if self._shown is not None:
            storage = self._study._storage  # noqa: SLF001 - pruners keep their notes there
            shown = self._shown.study.get_trials(deepcopy=False)[self._trial.number]
            for name, note in shown.system_attrs.items():
                storage.set_trial_system_attr(self._trial._trial_id, name, note)  # noqa: SLF001
        self._study.tell(self._trial, values, state=state)

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
