"""Directories of Rays that are started here."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path

from snakemake_repro.backends.ray_settings import make_directory


def test_what_a_killed_process_left_is_removed_by_the_next_that_makes_its_own() -> None:
    prefix = f"repro-test-{uuid.uuid4().hex[:8]}"
    own = make_directory(prefix)
    try:
        assert own.name.startswith(f"{prefix}-{os.getpid()}-")
        with subprocess.Popen(["true"]) as ended:
            pass
        names = [f"{prefix}-{ended.pid}-left", f"{prefix}-x-unknown", f"{prefix}-1-living"]
        left, *others = (own.parent / name for name in names)
        for path in (left, *others):
            (path / "session").mkdir(parents=True)
        another = make_directory(prefix)
        assert own != another
        assert _there(own.parent, prefix) == {own, another, *others}
    finally:
        for path in _there(own.parent, prefix):
            shutil.rmtree(path)


def _there(parent: Path, prefix: str) -> set[Path]:
    return set(parent.glob(f"{prefix}-*"))
