"""Perceptrons of PyTorch, trained by Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

from snakemake_repro.wrappers.families.base import Curves, Learner
from snakemake_repro.wrappers.families.networks import (
    Network,
    Settings,
    network_learner,
    require_suffix,
    scaling_of,
    weights_of_classes,
)
from snakemake_repro.wrappers.families.shares import Place
from snakemake_repro.wrappers.families.torch_modules import (
    dump_sequence,
    loss_of,
    perceptron,
    repeatable,
)
from snakemake_repro.wrappers.families.torch_shares import (
    among_workers,
    part_of_loss,
    sum_of_workers,
)


class PyTorch:
    """A classifier or regressor, by the type of the target."""

    trainer = "torch"

    def learner(self, own: Mapping[str, Any], target: Any, *, seed: int, threads: int) -> Learner:
        """Return an unfitted network."""
        return network_learner(own, target, name="pytorch.MLP", seed=seed, threads=threads)

    def fit(self, estimator: Network, rows: Any, target: Any, weight: Any, valid: Any) -> Curves:
        """Fit a network; return its loss on the rows, and on those to validate on, by epoch."""
        return self.fit_share(estimator, rows, target, weight, valid, place=Place())[1]

    def fit_share(
        self, estimator: Network, rows: Any, target: Any, weight: Any, valid: Any, *, place: Place
    ) -> tuple[Network, Curves]:
        """Fit a network to the same batches as one worker alone, of which each takes its part."""
        scaling = scaling_of(rows, target, classifier=estimator.classifier)
        outputs = len(set(target.tolist())) if estimator.classifier else 1
        sets = [(rows, target)] if valid is None else [(rows, target), valid]
        tensors = [
            (scaling.features(x), scaling.targets(y, classifier=estimator.classifier))
            for x, y in sets
        ]
        with repeatable(estimator.settings):
            model = perceptron(estimator.settings, features=rows.shape[1], outputs=outputs)
            loss = loss_of(
                classifier=estimator.classifier, weights=weights_of_classes(target, weight)
            )
            curves = _train(model, loss, tensors, estimator.settings, place)
        estimator.fitted, estimator.scaling = model.eval(), scaling
        return estimator, curves

    def dump(self, estimator: Network, about: Mapping[str, Any], path: str) -> bytes:
        """Return the network as a safetensors file."""
        require_suffix(path, ".safetensors", "a network of PyTorch")
        assert estimator.scaling is not None
        return dump_sequence(estimator.fitted, estimator.scaling, about)


def _train(model: Any, loss: Any, tensors: Any, settings: Settings, place: Place) -> Curves:
    """Train a module in place and return its losses by epoch."""
    with warnings.catch_warnings():
        # about workers for the loading of data, which is in memory, and Lightning's own debts
        warnings.simplefilter("ignore")
        import pytorch_lightning as lightning

        # what it says of accelerators and of its makers' services
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        module = _module(model, loss, settings, place)
        trainer = lightning.Trainer(
            accelerator="cpu",
            **({"devices": 1} if place.count == 1 else among_workers(settings, place)),
            deterministic=True,
            max_epochs=settings.epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(
            module, *(_loader(pair, settings, first=i == 0) for i, pair in enumerate(tensors))
        )
    return {name: values for name, values in module.curves.items() if values}


def _module(model: Any, loss: Any, settings: Settings, place: Place) -> Any:
    """Return a LightningModule; its class is made here, since its base is imported late."""
    import pytorch_lightning as lightning
    import torch

    class Module(lightning.LightningModule):  # type: ignore[misc]  # untyped where not installed
        """A module with its loss, its optimiser and its losses by epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.loss = loss
            self.curves: dict[str, list[float]] = {"train_loss": [], "valid_loss": []}
            self._sums: dict[str, list[float]] = {"train_loss": [0, 0], "valid_loss": [0, 0]}

        def forward(self, rows: Any) -> Any:
            return self.model(rows)

        def training_step(self, batch: Any, _number: int) -> Any:
            # the gradients of all workers are averaged
            return self._step("train_loss", batch) * place.count

        def validation_step(self, batch: Any, _number: int) -> Any:
            return self._step("valid_loss", batch)

        def on_train_epoch_end(self) -> None:
            self._end("train_loss")

        def on_validation_epoch_end(self) -> None:
            self._end("valid_loss")

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(
                self.model.parameters(),
                lr=settings.learning_rate,
                weight_decay=settings.weight_decay,
            )

        def _step(self, name: str, batch: Any) -> Any:
            value = part_of_loss(self.model, self.loss, batch, place)
            rows, _ = batch
            self._sums[name][0] += float(value.detach()) * len(rows)
            self._sums[name][1] += len(rows)
            return value

        def _end(self, name: str) -> None:
            total, count = self._sums[name]
            self.curves[name].append(sum_of_workers(total, place) / count)
            self._sums[name] = [0, 0]

    return Module()


def _loader(pair: Any, settings: Settings, *, first: bool) -> Any:
    """Return batches of tensors; those to learn from in a random order of their own seed."""
    import torch
    from torch.utils.data import (
        BatchSampler,
        DataLoader,
        RandomSampler,
        SequentialSampler,
        TensorDataset,
    )

    data = TensorDataset(*(torch.from_numpy(values) for values in pair))
    order: Any = SequentialSampler(data)
    if first:
        order = RandomSampler(data, generator=torch.Generator().manual_seed(settings.seed))
    # whole batches are indexed at once
    batches = BatchSampler(order, settings.batch_size, drop_last=False)
    return DataLoader(data, sampler=batches, batch_size=None)
