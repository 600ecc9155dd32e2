"""What PyTorch does otherwise where several workers train one network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from snakemake_repro.wrappers.families.networks import Settings
from snakemake_repro.wrappers.families.shares import Place


def among_workers(settings: Settings, place: Place) -> Mapping[str, Any]:
    """Return what Lightning's trainer is told in a worker of Ray Train.

    Also seeds what this worker leaves out by chance, which would be the same in all of them.
    """
    import torch
    from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

    torch.manual_seed(settings.seed + place.rank)
    return {
        "devices": "auto",
        "strategy": RayDDPStrategy(),
        "plugins": [RayLightningEnvironment()],
        # batches are the same for all
        "use_distributed_sampler": False,
    }


def part_of_loss(model: Any, loss: Any, batch: Any, place: Place) -> Any:
    """Return this worker's part of the mean loss of a batch; the parts of all add up to it.

    Args:
        model: Of the worker.
        loss: Mean over rows, which may have the weight of their class.
        batch: Rows (n, f) and target of all workers.
        place: Which worker this is. It may have none of the last rows.
    """
    rows, target = batch
    if place.count == 1:
        return loss(model(rows), target)
    mine = slice(place.rank, None, place.count)
    total = copy.copy(loss)
    total.reduction = "sum"
    weights = getattr(loss, "weight", None)
    whole = len(target) if weights is None else weights[target].sum()
    return total(model(rows[mine]), target[mine]) / whole


def sum_of_workers(value: float, place: Place) -> float:
    """Return the sum of a number over all workers."""
    if place.count == 1:
        return value
    import torch

    numbers = torch.tensor(value, dtype=torch.float64)
    torch.distributed.all_reduce(numbers)
    return float(numbers)
