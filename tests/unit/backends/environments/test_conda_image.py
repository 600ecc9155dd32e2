"""What is taken out of a conda environment before it becomes an image."""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from snakemake_repro.backends.environments.conda_image import tidy


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment with two modules that were compiled where the package was made."""
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    files = []
    for name in ("fits", "grown", "later"):
        source = site / f"{name}.py"
        source.write_text(f"NAME = {name!r}\n")
        py_compile.compile(str(source), doraise=True)
        if name != "later":
            compiled = Path(importlib.util.cache_from_source(str(source)))
            files.append(compiled.relative_to(tmp_path).as_posix())
    (site / "grown.py").write_text("NAME = 'a prefix was written into it'\n")
    (tmp_path / "conda-meta").mkdir()
    metadata = {
        "fn": "x-1-0.conda",
        "files": files,
        "url": "https://me:secret@lab/x",
        "channel": "https://me:secret@lab",
        "extracted_package_dir": "/cache/x",
        "link": {"source": "/cache/x", "type": 3},
    }
    (tmp_path / "conda-meta" / "x-1-0.json").write_text(json.dumps(metadata))
    return tmp_path


def test_compiled_python_is_kept_where_it_fits_its_source_whatever_the_times(prefix: Path) -> None:
    site = prefix / "lib" / "python3.11" / "site-packages"
    tidy(prefix, {})
    [kept] = site.rglob("*.pyc")
    assert kept.name.startswith("fits.")
    os.utime(site / "fits.py", (0, 0))
    script = "import fits, grown, later; print(fits.NAME, '|', grown.NAME, '|', later.NAME)"
    done = subprocess.run(
        [sys.executable, "-B", "-v", "-c", script],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "fits | a prefix was written into it | later\n"
    assert f"{kept} matches" in done.stderr, "it was not compiled again"


def test_metadata_names_packages_and_no_place_of_this_machine(prefix: Path) -> None:
    tidy(prefix, {"x-1-0.conda": "https://lab/${TOKEN}/noarch"})
    metadata = json.loads((prefix / "conda-meta" / "x-1-0.json").read_bytes())
    assert metadata["url"] == "https://lab/${TOKEN}/noarch/x-1-0.conda"
    assert metadata["channel"] == "https://lab/${TOKEN}"
    assert "/cache/x" not in json.dumps(metadata)
