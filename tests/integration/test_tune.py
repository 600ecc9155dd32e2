"""A search gives the same bytes under both executors, and goes on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from pairs import Pair
from runs import Workspace

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "snakemake_repro" / "wrappers" / "tune" / "test"

SNAKEFILE = """
    from snakemake_repro import wrapper as repro

    rule trees:
        input: train="train.parquet", valid="valid.parquet"
        output: best="best.json", trials="trials.parquet", model="model.ubj"
        params:
            trial={"wrapper": "xgboost/train",
                   "params": {"target": "class", "group": "run", "n_estimators": 10}},
            space={"max_depth": {"randint": [1, 4]}, "learning_rate": {"loguniform": [0.01, 0.5]}},
            metric="valid_roc_auc", direction="maximize", trials=6, parallel=2, seed=3
        threads: 2
        wrapper: repro("tune")
"""

SLOW = """
    from snakemake_repro import wrapper as repro

    rule slow:
        input: code="slow.py"
        output: best="best.json", trials="trials.parquet"
        params:
            trial={"function": "slow.py:square"}, space={"x": {"uniform": [-1, 1]}},
            metric="square", trials=12, parallel=2, seed=3
        threads: 2
        wrapper: repro("tune")
"""

ASYNCHRONOUS = """
    from snakemake_repro import wrapper as repro

    SEARCH = dict(
        trial={"function": "uneven.py:square"}, space={"x": {"uniform": [-1, 1]}},
        metric="square", trials=12, parallel=2, seed=3, asynchronous=True,
        pruner="sha", pruner_options={"min_resource": 1, "reduction_factor": 2},
    )

    rule again:
        input: code="uneven.py", order="order.jsonl"
        output: best="again/best.json", trials="again/trials.parquet", model="again/model.txt",
                order="again/order.jsonl"
        params: **SEARCH
        wrapper: repro("tune")

    rule search:
        input: code="uneven.py"
        output: best="best.json", trials="trials.parquet", model="model.txt", order="order.jsonl"
        params: **SEARCH
        threads: 2
        wrapper: repro("tune")
"""


def prepare(workspace: Workspace) -> None:
    for name in ("train", "valid"):
        shutil.copy(EXAMPLE / f"{name}.parquet", workspace.root)
    workspace.write("Snakefile", SNAKEFILE)


def test_a_search_gives_the_same_bytes_under_both_executors(pair: Pair) -> None:
    for workspace in (pair.ray, pair.local):
        prepare(workspace)
    pair.ray.ok("--ray-environments", "host", "--ray-hermetic")
    pair.local.ok(executor="local")
    for name in ("best.json", "trials.parquet", "model.ubj"):
        assert (pair.ray.root / name).read_bytes() == (pair.local.root / name).read_bytes(), name
    best = json.loads((pair.ray.root / "best.json").read_text())
    (job,) = pair.ray.jobs("trees")
    values = {metric.name: metric.value for metric in job.record.metrics}
    assert values["best_valid_roc_auc"] == best["best"]["values"]["valid_roc_auc"]
    assert values["trials_complete"] == 6
    assert len([m for m in job.record.metrics if m.name == "trial_valid_roc_auc"]) == 6
    assert [trial.number for trial in job.record.trials] == list(range(6))
    assert dict(job.record.trials[best["best"]["trial"]].params) == best["best"]["params"]
    shown = pair.ray.repro("report").stdout
    assert "best_valid_roc_auc" in shown


def test_a_search_whose_process_is_killed_goes_on(lonely: Workspace) -> None:
    lonely.write("Snakefile", SLOW)
    lonely.write(
        "slow.py",
        """
        import time

        def square(params, trial):
            time.sleep(0.2)
            return params["x"] ** 2
        """,
    )
    journals = lonely.root / ".repro" / "tuning"
    with lonely.start(executor="local") as run:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            counts = [path.read_text().count("\n") for path in journals.glob("*/trials.jsonl")]
            if counts and max(counts) >= 4:
                break
            time.sleep(0.02)
        (pid,) = {int(path.name.split("-")[-1]) for path in journals.glob("*/trial-*")}
        os.kill(pid, signal.SIGKILL)
        output, _ = run.communicate(timeout=120)
    assert run.returncode != 0, output
    assert not (lonely.root / "best.json").exists()
    lonely.ok(executor="local")
    (job,) = lonely.jobs("slow")
    assert job.record.spec.rule == "slow"
    resumed = (
        (lonely.root / "best.json").read_bytes(),
        (lonely.root / "trials.parquet").read_bytes(),
    )
    # made again from nothing
    lonely.ok("--forceall", executor="local")
    again = (
        (lonely.root / "best.json").read_bytes(),
        (lonely.root / "trials.parquet").read_bytes(),
    )
    assert resumed == again


def test_the_order_of_an_asynchronous_search_is_repeated_to_the_byte(lonely: Workspace) -> None:
    lonely.write("Snakefile", ASYNCHRONOUS)
    lonely.write(
        "uneven.py",
        """
        import time

        def square(params, trial):
            for step in range(1, 5):
                time.sleep(0.02 * (trial.number % 3))
                trial.report(params["x"] ** 2 + 1 / step, step=step)
            trial.model.write_text(str(params["x"]))
            return params["x"] ** 2
        """,
    )
    lonely.ok(executor="local")
    for name in ("best.json", "trials.parquet", "model.txt", "order.jsonl"):
        assert (lonely.root / "again" / name).read_bytes() == (lonely.root / name).read_bytes()
    best = json.loads((lonely.root / "best.json").read_text())
    assert best["trials"]["pruned"] > 0
