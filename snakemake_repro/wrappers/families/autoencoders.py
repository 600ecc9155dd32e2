"""Autoencoders that are still to be fitted, or are: what they are made of, whoever fits them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.families.networks import (
    DEFAULTS,
    Scaling,
    Settings,
    number,
    settings_of,
)
from snakemake_repro.wrappers.problems import check_names

PLAIN, DEEP, VARIATIONAL = "autoencoder", "deep_autoencoder", "variational_autoencoder"
KINDS = (PLAIN, DEEP, VARIATIONAL)

_LATENT = 2
_BETA = 1.0
_SHAPE = ("hidden", "activation", "dropout")
"""Parameters of hidden layers, which a plain autoencoder has not."""


@dataclasses.dataclass(kw_only=True, slots=True)
class Autoencoder:
    """A network that describes each row by a few numbers, from which it makes the row again.

    Attributes:
        kind: One of ``KINDS``.
        settings: How it is built and trained. ``hidden`` are the widths of the encoder; the
            decoder has the same in reverse.
        latent: How many numbers describe a row.
        beta: Weight of the divergence of a variational one; ``None`` for the others.
        fitted: What the library made of it; ``None`` before.
        scaling: How its features were scaled; ``None`` before.
    """

    kind: str
    settings: Settings
    latent: int
    beta: float | None
    fitted: Any = None
    scaling: Scaling | None = None


def autoencoder_of(own: Mapping[str, Any], *, name: str, seed: int, threads: int) -> Autoencoder:
    """Return an unfitted autoencoder.

    Args:
        own: Its parameters, of which ``kind`` is one of ``KINDS``.
        name: To call it by in messages.
        seed: Of first weights, order of rows, dropout, and what a variational one draws.
        threads: For the arithmetic.

    Raises:
        WrapperError: There is no such parameter, or it has no such value.
    """
    kind = str(own["kind"])
    known = {*DEFAULTS, "kind", "backend", "latent_size"}
    if kind == PLAIN:
        known -= set(_SHAPE)
    if kind == VARIATIONAL:
        known.add("beta")
    check_names(own, sorted(known), name)
    defaults = {**DEFAULTS, "hidden": () if kind == PLAIN else DEFAULTS["hidden"]}
    return Autoencoder(
        kind=kind,
        settings=settings_of(own, defaults, seed=seed, threads=threads),
        latent=requests.whole(own, "latent_size", default=_LATENT, low=1),
        beta=number({"beta": _BETA, **own}, "beta") if kind == VARIATIONAL else None,
    )
