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


ROOT = """
dependencies:
  - python
  - pip
  - pip:
      - root ==0.1a12
"""
READING = """
rule read:
    input: "results/showers.root", "results/ntuple.root"
    output: "results/read.json"
    conda: "envs/root.yaml"
    script: "read.py"
"""
SCRIPT = """
import json
import warnings

warnings.simplefilter("ignore")  # it says that it is an early version
import ROOT

ROOT.gROOT.SetBatch(True)
found = {}
for path in snakemake.input:
    frame = ROOT.RDataFrame("showers", path)
    found[path] = {
        "columns": sorted(str(name) for name in frame.GetColumnNames()),
        "runs": [int(run) for run in frame.Take["int"]("run").GetValue()],
        "muons": frame.Define("n", "int(muon_energy_gev.size())").Sum("n").GetValue(),
        "energy": frame.Define("e", "ROOT::VecOps::Sum(muon_energy_gev)").Sum("e").GetValue(),
    }
with open(snakemake.output[0], "w") as file:
    json.dump(found, file)
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++, whose headers ROOT reads")
def test_root_itself_reads_the_files(workspace: Workspace) -> None:
    shutil.copytree(FOLDER / "root/from-parquet/test", workspace.root, dirs_exist_ok=True)
    workspace.write("envs/root.yaml", ROOT)
    workspace.write("read.py", SCRIPT)
    with (workspace.root / "Snakefile").open("a") as file:
        file.write(READING)
    workspace.ok("results/read.json")
    table = pq.read_table(workspace.root / "showers.parquet").to_pydict()
    energies = table["muon_energy_gev"]
    read = json.loads((workspace.root / "results/read.json").read_text())
    assert list(read) == ["results/showers.root", "results/ntuple.root"]
    for found in read.values():
        assert {"run", "primary", "muon_energy_gev"} <= set(found["columns"])
        assert found["runs"] == table["run"]
        assert found["muons"] == sum(map(len, energies))
        assert found["energy"] == pytest.approx(sum(map(sum, energies)), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_gives_what_is_expected(name: str, tmp_path: Path, tracking_uri: str) -> None:
    shutil.copytree(FOLDER / name / "test", tmp_path / "work")
    example = Workspace(tmp_path / "work", tracking_uri=tracking_uri)
    example.ok(executor="local")
    expected = json.loads((FOLDER / name / "test" / "expected.json").read_text())
    assert {path: content(example.root / path) for path in expected} == expected
    recorded = {file.path for job in example.history.jobs for file in job.record.outputs}
    assert recorded >= set(expected)
