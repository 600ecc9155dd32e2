"""Objects of Ray's store: pieces of files that a node takes one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from snakemake_repro.errors import ClusterError


def fetch(references: Iterable[Any]) -> Iterator[bytes]:
    """Yield what references stand for; only one piece is here at a time.

    Raises:
        ClusterError: One of them is lost.
    """
    import ray

    for reference in references:
        try:
            yield ray.get(reference)
        except ray.exceptions.ObjectLostError as exc:
            raise ClusterError(
                "a piece of an input was lost on its way to the node",
                hint="The job may be repeated: `snakemake` again continues.",
            ) from exc
