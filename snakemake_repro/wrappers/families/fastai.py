"""Tabular models of fastai, trained with its one-cycle schedule."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from snakemake_repro.wrappers.families.base import Curves, Learner
from snakemake_repro.wrappers.families.networks import (
    Network,
    Settings,
    network_learner,
    require_suffix,
    scaling_of,
    weights_of_classes,
)
from snakemake_repro.wrappers.families.torch_modules import activation, dump_sequence, repeatable

_TARGET = "target"


class Fastai:
    """A classifier or regressor, by the type of the target."""

    def learner(self, own: Mapping[str, Any], target: Any, *, seed: int, threads: int) -> Learner:
        """Return an unfitted network."""
        return network_learner(own, target, name="fastai.Tabular", seed=seed, threads=threads)

    def fit(self, estimator: Network, rows: Any, target: Any, weight: Any, valid: Any) -> Curves:
        """Fit a network; return its loss on the rows, and on those to validate on, by epoch."""
        settings, classifier = estimator.settings, estimator.classifier
        scaling = scaling_of(rows, target, classifier=classifier)
        sets = [(rows, target)] if valid is None else [(rows, target), valid]
        pairs = [(scaling.features(x), scaling.targets(y, classifier=classifier)) for x, y in sets]
        weights = weights_of_classes(target, weight)
        with repeatable(settings), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own debts, of types and of pickles
            loaders = _loaders(pairs, settings, classifier=classifier)
            classes = len(set(target.tolist())) if classifier else None
            model, curves = _train(loaders, settings, classes=classes, weights=weights)
        estimator.fitted, estimator.scaling = model.eval(), scaling
        return curves

    def dump(self, estimator: Network, about: Mapping[str, Any], path: str) -> bytes:
        """Return the network as a safetensors file."""
        require_suffix(path, ".safetensors", "a network of fastai")
        assert estimator.scaling is not None
        model = estimator.fitted
        layers = [module for layer in model.layers for module in layer]
        return dump_sequence([model.bn_cont, *layers], estimator.scaling, about)


def _loaders(pairs: Any, settings: Settings, *, classifier: bool) -> Any:
    """Return batches of rows to learn from, in a random order, and of those to validate on."""
    import pandas as pd
    from fastai.data.block import CategoryBlock, RegressionBlock
    from fastai.tabular.core import TabularPandas

    features = np.concatenate([x for x, _ in pairs])
    names = [f"feature_{place}" for place in range(features.shape[1])]
    frame = pd.DataFrame(features, columns=names)
    frame[_TARGET] = np.concatenate([np.ravel(y) for _, y in pairs])
    learned = len(pairs[0][0])
    table = TabularPandas(
        frame,
        procs=[],
        cont_names=names,
        y_names=_TARGET,
        y_block=CategoryBlock() if classifier else RegressionBlock(),
        splits=(list(range(learned)), list(range(learned, len(frame)))),
    )
    # batches are normalised, and a single row has no deviation
    alone = learned > settings.batch_size and learned % settings.batch_size == 1
    return table.dataloaders(bs=settings.batch_size, drop_last=alone, device="cpu")


def _train(
    loaders: Any, settings: Settings, *, classes: int | None, weights: Any
) -> tuple[Any, Curves]:
    """Return a fitted ``TabularModel``, and its losses by epoch; a regression has no classes."""
    import fastai.callback.schedule  # noqa: F401 - it gives learners their fit_one_cycle
    import torch
    from fastai.callback.progress import ProgressCallback
    from fastai.losses import CrossEntropyLossFlat, MSELossFlat
    from fastai.tabular.learner import tabular_learner
    from fastai.tabular.model import tabular_config

    tensor = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    learner = tabular_learner(
        loaders,
        layers=list(settings.hidden),
        config=tabular_config(ps=settings.dropout, act_cls=activation(settings)),
        n_out=classes or 1,
        loss_func=CrossEntropyLossFlat(weight=tensor) if classes else MSELossFlat(),
    )
    losses = _losses()
    learner.remove_cbs(ProgressCallback)
    with learner.no_logging():
        learner.fit_one_cycle(
            settings.epochs, settings.learning_rate, wd=settings.weight_decay, cbs=losses
        )
    return learner.model, {name: values for name, values in losses.curves.items() if values}


def _losses() -> Any:
    """Return a callback with the mean loss of each epoch; its base is imported late.

    What fastai itself shows of the rows to learn from is a running mean over epochs.
    """
    from fastai.callback.core import Callback

    class Losses(Callback):  # type: ignore[misc]  # untyped where not installed
        """Sums up losses."""

        def __init__(self) -> None:
            super().__init__()
            self.curves: dict[str, list[float]] = {"train_loss": [], "valid_loss": []}
            self._sums: dict[str, list[float]] = {}

        def before_epoch(self) -> None:
            self._sums = {name: [0.0, 0] for name in self.curves}

        def after_batch(self) -> None:
            sums = self._sums["train_loss" if self.training else "valid_loss"]
            count = len(self.y)
            sums[0] += float(self.loss.detach()) * count
            sums[1] += count

        def after_epoch(self) -> None:
            for name, (total, count) in self._sums.items():
                if count:
                    self.curves[name].append(total / count)

    return Losses()
