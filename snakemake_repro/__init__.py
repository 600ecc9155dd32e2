"""Reproducible Snakemake workflows on Ray: pinned environments and a record of every result.

Nothing heavy is imported here: Snakefiles import this module at parse time, and jobs import it
inside environments that hold none of this package's dependencies.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__", "job", "track", "wrapper"]


def __getattr__(name: str) -> object:
    if name == "wrapper":
        from snakemake_repro.wrappers import wrapper

        return wrapper
    if name == "job":
        from snakemake_repro.jobfunction import job

        return job
    if name == "track":
        from snakemake_repro.client import track

        return track
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
