"""Where this user keeps on this machine what can be had again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """Return the cache of this user; nobody says that it is there.

    Raises:
        RuntimeError: Neither ``$XDG_CACHE_HOME`` nor ``$HOME`` is set.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "snakemake-repro")
