"""What the workers of a cluster are asked to run.

Who asks sends these by name, and does not load what runs jobs; that would keep a run from starting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def execute(payload: bytes) -> bytes:
    """Run a task, see ``operations.execute``."""
    from snakemake_repro.operations import execute as here

    return here.execute(payload)


def execute_apart(payload: bytes, parcels: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """Run a task whose files travel with it, see ``operations.apart``."""
    from snakemake_repro.operations import apart

    yield from apart.execute_apart(payload, parcels)  # Ray streams only what yields by itself


def warm_up() -> None:
    """Do what the first job of this worker would wait for."""
    from snakemake_repro.operations import execute as here

    here.warm_up()
