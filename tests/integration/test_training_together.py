"""Two workers train one model, with each library, in locked environments and beside Snakemake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from clusters import RunningCluster
from runs import Workspace
from wheels import wheels_without_cuda

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parents[2] / "snakemake_repro" / "wrappers"
MODELS = {"xgboost": "xgboost.ubj", "lightgbm": "lightgbm.txt"} | (
    {} if wheels_without_cuda() is None else {"pytorch": "pytorch.safetensors"}
)
SERIES = {
    "xgboost": {"valid_logloss": 20},
    "lightgbm": {"valid_binary_logloss": 20},
    "pytorch": {"train_loss": 30, "valid_loss": 30},
}
"""What is recorded round by round, and how often."""

OWN = {
    "xgboost": 'n_estimators=20, max_depth=2, class_weight="balanced"',
    "lightgbm": "n_estimators=20, num_leaves=4, min_child_samples=5",
    "pytorch": 'hidden=[16], epochs=30, learning_rate=0.01, class_weight="balanced"',
}
"""Parameters as in the examples of the wrappers."""

RULE = """
    rule {library}:
        input: train="train.parquet", valid="valid.parquet"
        output: model="{model}", metrics="{library}.json"
        params:
            target="class", group="run", seed=1, num_workers=2, {own}
        threads: 2
        wrapper: repro("{library}/train")
"""

STOPPED = """
    rule stopped:
        input: train="train.parquet", valid="valid.parquet"
        output: model="stopped.ubj", metrics="stopped.json"
        params:
            target="class", group="run", seed=1, num_workers=2, n_estimators=200, max_depth=2,
            early_stopping_rounds=5
        threads: 2
        resources: hermetic=True
        wrapper: repro("xgboost/train")
"""


def prepare(workspace: Workspace) -> None:
    """Lay a workflow and the wrappers' showers into a directory."""
    rules = [RULE.format(library=n, model=m, own=OWN[n]) for n, m in MODELS.items()]
    workspace.write(
        "Snakefile",
        "\n".join(["    from snakemake_repro import wrapper as repro", *rules, STOPPED]),
    )
    for name in ("train.parquet", "valid.parquet"):
        shutil.copy(FOLDER / "xgboost/train/test" / name, workspace.root)


def expected(library: str) -> dict[str, Any]:
    """Return what one worker reports."""
    text = (FOLDER / library / "train/test/expected.json").read_text()
    report: dict[str, Any] = json.loads(text)["results/held_out.json"]
    return report


def check(workspace: Workspace, library: str) -> None:
    """Compare with what one worker finds, and look at the record."""
    report = json.loads((workspace.root / f"{library}.json").read_text())
    assert report.pop("num_workers") == report.pop("threads") == 2
    alone = expected(library)
    for part in ("train", "valid"):
        found, theirs = report.pop(part), alone.pop(part)
        # the trees of few rows move with how these are dealt
        assert found["roc_auc"] == pytest.approx(theirs["roc_auc"], abs=0.05)
        assert found.keys() == theirs.keys()
    assert report == {name: value for name, value in alone.items() if name != "threads"}
    record = next(
        job.record
        for history in reversed(workspace.histories())
        for job in history.jobs
        if job.record.spec.rule == library
    )
    names = [metric.name for metric in record.metrics]
    assert {name: names.count(name) for name in SERIES[library]} == SERIES[library]
    assert record.spec.named_params["num_workers"] == 2


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, cluster: RunningCluster, tracking_uri: str
) -> Workspace:
    """A run in locked environments, on a cluster that each job fills."""
    workspace = Workspace(tmp_path_factory.mktemp("work"), cluster, tracking_uri)
    prepare(workspace)
    workspace.environ["UV_FIND_LINKS"] = str(wheels_without_cuda() or "")
    for name in MODELS.values():
        workspace.ok(name)
    return workspace


@pytest.mark.parametrize("library", MODELS)
def test_workers_train_what_one_would(trained: Workspace, library: str) -> None:
    check(trained, library)


@pytest.mark.parametrize("library", [name for name in MODELS if name != "xgboost"])
def test_the_same_number_of_workers_gives_the_same_bytes(trained: Workspace, library: str) -> None:
    model = trained.root / MODELS[library]
    first = model.read_bytes()
    assert b"127.0.0.1" not in first
    trained.ok(MODELS[library], "--force")
    assert model.read_bytes() == first


def test_workers_of_a_hermetic_job_stop_early_together(trained: Workspace) -> None:
    trained.ok("stopped.json")
    (job,) = trained.jobs("stopped")
    rounds = [metric for metric in job.record.metrics if metric.name == "valid_logloss"]
    assert 5 < len(rounds) < 200
    assert job.record.isolation is not None


def test_workers_train_beside_snakemake(lonely: Workspace) -> None:
    prepare(lonely)
    done = lonely.ok("xgboost.json", executor="local")
    check(lonely, "xgboost")
    assert "ray" not in done.output.lower()
