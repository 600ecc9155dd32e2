"""The host is recorded as it is."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from snakemake_repro.backends.environments import host
from snakemake_repro.backends.environments.host import HostEnvironment
from snakemake_repro.records import Digest


def test_every_installed_distribution_is_recorded_once_and_sorted() -> None:
    record = HostEnvironment().record
    interpreter = Path(sys.executable).read_bytes()
    assert record.interpreter == Digest(hashlib.sha256(interpreter).hexdigest())
    names = [package.name for package in record.packages]
    assert names == sorted(set(names))
    assert names == [canonicalize_name(name) for name in names]
    versions = {package.name: package.version for package in record.packages}
    assert versions["snakemake"] == importlib.metadata.version("snakemake")
    assert record.python == platform.python_version()
    assert not record.pinned


def test_it_is_looked_at_once_per_process() -> None:
    assert HostEnvironment().record is HostEnvironment().record


def test_another_package_is_another_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = HostEnvironment().record
    info = tmp_path / "added_here-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Added_Here\nVersion: 1.0\n")
    (tmp_path / "broken-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    host._record.cache_clear()
    try:
        after = HostEnvironment().record
    finally:
        host._record.cache_clear()
        sys.path_importer_cache.pop(str(tmp_path), None)
    assert after.digest != before.digest
    assert {package.name for package in after.packages} - {
        package.name for package in before.packages
    } == {"added-here"}


def test_a_backport_that_somebody_imported_changes_nothing() -> None:
    """It puts a finder of its own beside Python's, which fails where ours passes over."""
    script = """
import hashlib
import importlib.metadata
from snakemake_repro.backends.environments.host import HostEnvironment
from snakemake_repro.records import Digest
print(HostEnvironment().record.digest)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(HostEnvironment().record.digest)
