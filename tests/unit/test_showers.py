"""CORSIKA files become tables, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from wrapperjobs import Job, Recorder

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.showers import read

DATA = Path(__file__).parents[1] / "data" / "corsika"


def job(folder: Path, run: Path, *, muons: bool = True, **params: Any) -> Job:
    outputs = {"showers": str(folder / "showers.parquet")}
    if muons:
        outputs["muons"] = str(folder / "muons.parquet")
    return Job({"run": str(run)}, outputs, params)


def test_showers_and_their_muons_agree(tmp_path: Path) -> None:
    run = Recorder()
    read(job(tmp_path, DATA / "DAT000045"), run)
    showers = pq.read_table(tmp_path / "showers.parquet").to_pandas()
    muons = pq.read_table(tmp_path / "muons.parquet").to_pandas()
    assert run.metrics == {"showers": [5], "muons": [len(muons)]}
    assert set(showers["run"]) == set(muons["run"]) == {45}
    assert set(showers["primary"]) == {5626 - 200}
    counts = muons.groupby("shower").size().reindex(showers["shower"], fill_value=0)
    assert counts.tolist() == showers["muons"].tolist()
    assert set(muons["code"]) == {5, 6}
    assert (muons["pt_gev"] < muons["energy_gev"]).all()
    assert np.isfinite(muons.to_numpy()).all()


def test_the_muons_may_be_left_out(tmp_path: Path) -> None:
    read(job(tmp_path, DATA / "DAT000031", muons=False), Recorder())
    assert [path.name for path in tmp_path.iterdir()] == ["showers.parquet"]


# corsikaio leaves a file open that it refuses
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cut", [0, 1000, 11_000, 22_900])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "DAT000031"
    path.write_bytes((DATA / "DAT000031").read_bytes()[:cut])
    with pytest.raises(WrapperError, match="DAT000031: expected a complete CORSIKA particle file"):
        read(job(tmp_path, path), Recorder())
    assert [path.name for path in tmp_path.iterdir()] == ["DAT000031"]


def test_there_are_no_parameters(tmp_path: Path) -> None:
    with pytest.raises(WrapperError, match="corsika/read has no parameter 'thin': expected none"):
        read(job(tmp_path, DATA / "DAT000031", thin=1), Recorder())
