"""The examples of the wrappers that bring data from one form or place to another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import uproot
from runs import Workspace

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parents[2] / "snakemake_repro" / "wrappers"
NAMES = ("corsika/read", "root/from-parquet", "root/to-parquet")


def content(path: Path) -> Any:
    """Return what a result holds, as the expectation has it."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pydict()
    with uproot.open(path) as file:
        return {
            name: {
                column: tree[column].array().tolist()
                for column in tree.keys()  # noqa: SIM118 - a tree is no mapping
                if column != "nmuon_energy_gev"
            }
            for name, tree in file.items(cycle=False)
        }


@pytest.mark.parametrize("name", NAMES)
def test_the_example_gives_what_is_expected(name: str, tmp_path: Path, tracking_uri: str) -> None:
    shutil.copytree(FOLDER / name / "test", tmp_path / "work")
    example = Workspace(tmp_path / "work", tracking_uri=tracking_uri)
    example.ok(executor="local")
    expected = json.loads((FOLDER / name / "test" / "expected.json").read_text())
    assert {path: content(example.root / path) for path in expected} == expected
    recorded = {file.path for job in example.history.jobs for file in job.record.outputs}
    assert recorded >= set(expected)
