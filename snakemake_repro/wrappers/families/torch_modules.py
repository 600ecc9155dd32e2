"""Perceptrons as modules of PyTorch, and what makes PyTorch repeat itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from snakemake_repro.wrappers.families.networks import Network, Settings, dump_modules


@contextmanager
def repeatable(settings: Settings) -> Iterator[None]:
    """Seed PyTorch and NumPy, fix the threads, and allow deterministic algorithms only.

    What was set before is set again afterwards.
    """
    import random

    import numpy as np
    import torch

    threads = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    random_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(settings.seed)
            np.random.seed(settings.seed)  # noqa: NPY002 - as above
            torch.manual_seed(settings.seed)
            torch.set_num_threads(settings.threads)
            torch.use_deterministic_algorithms(mode=True)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        random.setstate(random_state)
        np.random.set_state(numpy_state)  # noqa: NPY002 - as above


def perceptron(settings: Settings, *, features: int, outputs: int) -> Any:
    """Return a ``torch.nn.Sequential`` with first weights."""
    from torch import nn

    kinds = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
    modules: list[Any] = []
    width = features
    for wider in settings.hidden:
        modules += [nn.Linear(width, wider), kinds[settings.activation]()]
        if settings.dropout:
            modules.append(nn.Dropout(settings.dropout))
        width = wider
    return nn.Sequential(*modules, nn.Linear(width, outputs))


def dump_sequence(network: Network, about: Mapping[str, Any]) -> bytes:
    """Return a fitted ``torch.nn.Sequential`` as a safetensors file."""
    from torch import nn

    modules = [m for m in network.fitted if not isinstance(m, nn.Dropout)]
    state = nn.Sequential(*modules).state_dict()
    kinds = [{"kind": type(m).__name__} for m in modules]
    return dump_modules(network, about, kinds, {n: t.cpu().numpy() for n, t in state.items()})


def loss_of(*, classifier: bool, weights: Any) -> Any:
    """Return the loss: cross-entropy, weighted by class, or the mean square."""
    import torch

    if not classifier:
        return torch.nn.MSELoss()
    tensor = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    return torch.nn.CrossEntropyLoss(weight=tensor)
