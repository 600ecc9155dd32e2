"""Optuna's samplers and pruners, made the same in every run."""

from __future__ import annotations

from collections.abc import Mapping
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
