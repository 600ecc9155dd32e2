"""Perceptrons as modules of PyTorch, and what makes PyTorch repeat itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from snakemake_repro.wrappers.families.networks import (
    ACTIVATIONS,
    Scaling,
    Settings,
    dump_modules,
    seeded,
)


@contextmanager
def repeatable(settings: Settings) -> Iterator[None]:
    """Seed PyTorch and NumPy, fix the threads, and allow deterministic algorithms only.

    What was set before is set again afterwards.
    """
    import torch

    threads = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    try:
        with seeded(settings.seed), torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            torch.set_num_threads(settings.threads)
            torch.use_deterministic_algorithms(mode=True)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def perceptron(settings: Settings, *, features: int, outputs: int) -> Any:
    """Return a ``torch.nn.Sequential`` with first weights."""
    from torch import nn

    modules: list[Any] = []
    width = features
    for wider in settings.hidden:
        modules += [nn.Linear(width, wider), activation(settings)]
        if settings.dropout:
            modules.append(nn.Dropout(settings.dropout))
        width = wider
    return nn.Sequential(*modules, nn.Linear(width, outputs))


def activation(settings: Settings) -> Any:
    """Return the module that stands behind each hidden layer."""
    from torch import nn

    return getattr(nn, ACTIVATIONS[settings.activation])()


def dump_sequence(layers: Iterable[Any], scaling: Scaling, about: Mapping[str, Any]) -> bytes:
    """Return fitted modules that follow each other as a safetensors file."""
    from torch import nn

    modules = [m for m in layers if not isinstance(m, nn.Dropout)]
    state = nn.Sequential(*modules).state_dict()
    # how many batches a normalisation saw is of no use to who judges rows
    tensors = {n: t.cpu().numpy() for n, t in state.items() if t.is_floating_point()}
    return dump_modules(scaling, about, [_described(m) for m in modules], tensors)


def _described(module: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": type(module).__name__}
    if hasattr(module, "eps"):
        found["eps"] = module.eps
    if getattr(module, "bias", ...) is None:
        found["bias"] = False
    return found


def loss_of(*, classifier: bool, weights: Any) -> Any:
    """Return the loss: cross-entropy, weighted by class, or the mean square."""
    import torch

    if not classifier:
        return torch.nn.MSELoss()
    tensor = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    return torch.nn.CrossEntropyLoss(weight=tensor)
