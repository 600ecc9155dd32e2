"""Each wrapper's own example runs as its documentation says, and records itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from runs import Workspace

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parents[2] / "snakemake_repro" / "wrappers"
NAMES = (
    "dataset/fetch",
    "evaluate",
    "lightgbm/train",
    "notebook",
    "predict",
    "script",
    "sklearn/train",
    "tabular/split",
    "tune",
    "xgboost/train",
)


@pytest.fixture
def example(tmp_path: Path, request: pytest.FixtureRequest, tracking_uri: str) -> Workspace:
    """A copy of a wrapper's test folder."""
    shutil.copytree(FOLDER / request.param / "test", tmp_path / "work")
    return Workspace(tmp_path / "work", tracking_uri=tracking_uri)


def close_to(expected: Any) -> Any:
    """Return what compares equal to nearly the same numbers, and to nothing else.

    Versions of the libraries may differ from those in the lock when the host's are used.
    """
    if isinstance(expected, dict):
        return {key: close_to(value) for key, value in expected.items()}
    if isinstance(expected, list):
        return [close_to(value) for value in expected]
    if isinstance(expected, float):
        return pytest.approx(expected, abs=0.05)
    return expected


@pytest.mark.parametrize(
    ("example", "name"), [(n, n) for n in NAMES], indirect=["example"], ids=NAMES
)
def test_the_example_gives_what_is_expected(example: Workspace, name: str) -> None:
    example.ok(executor="local")
    expected = json.loads((FOLDER / name / "test" / "expected.json").read_text())
    found = {path: json.loads((example.root / path).read_text()) for path in expected}
    for report in (*expected.values(), *found.values()):
        # counts of single rows, and curves through them, move with the versions of the libraries
        for varying in ("confusion", "precision_recall", "calibration"):
            report.pop(varying, None)
    assert found == close_to(expected)


@pytest.mark.parametrize("example", ["evaluate"], indirect=True)
def test_a_mistake_in_a_rule_is_one_line(example: Workspace) -> None:
    snakefile = example.root / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace('target="class"', 'target="klass"', 1))
    done = example.fails("results/train.joblib", executor="local")
    (line,) = (line for line in done.output.splitlines() if line.startswith("sklearn/train: "))
    assert line == (
        "sklearn/train: train.parquet: expected a column 'klass' (target), got columns run, class, "
        "log10_muons, log10_energy, noise (did you mean 'class'?)"
    )
    assert not list((example.root / "results").glob("*"))


@pytest.mark.parametrize("example", ["xgboost/train"], indirect=True)
def test_a_wrapper_records_itself_without_ray(example: Workspace) -> None:
    example.ok("results/held_out.json", executor="local")
    (record,) = (job.record for job in example.history.jobs)
    assert record.spec.rule == "train_and_hold_out"
    assert {file.path for file in record.spec.inputs} == {"train.parquet", "valid.parquet"}
    assert {file.path for file in record.outputs} == {
        "results/held_out.ubj",
        "results/held_out.json",
    }
    assert all(file.digest is not None for file in (*record.spec.inputs, *record.outputs))
    values = {metric.name: metric.value for metric in record.metrics}
    report = json.loads((example.root / "results/held_out.json").read_text())
    assert values["valid_roc_auc"] == report["valid"]["roc_auc"]
    assert len([m for m in record.metrics if m.name == "valid_logloss"]) == 20
    assert record.seeds["numpy"] == 1
