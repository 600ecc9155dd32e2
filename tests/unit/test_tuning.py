"""The library behind the wrapper ``tune``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import searches
from searches import SPACE, Recorder, refusal

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning import order, space
from snakemake_repro.wrappers.tuning.slots import slots_of

FUNCTION = """
import time

def train(params, trial):
    far = (params["x"] - 0.3) ** 2 + params["n"]
    # later trials of a batch end first
    time.sleep(0.02 if trial.number % 2 == 0 else 0)
    for step in range(1, 4):
        trial.report(far + 1 / step, step=step)
    trial.model.write_text(f"{trial.number} {params['x']}")
    return far

def several(params, trial):
    return {"near": abs(params["x"]), "far": -abs(params["x"]), "more": 1}

def odd(params, trial):
    if trial.number == 1:
        raise ValueError("not this one")
    if trial.number == 2:
        return float("nan")
    return params["x"]

def slow(params, trial):
    time.sleep(60 if trial.number == 1 else 0)
    return params["x"]

def rows(params, trial):
    first, again = trial.data("table"), trial.data("table")
    assert first is again
    return first.num_rows + params["x"] + float(trial.data("numbers").sum())
"""

SCRIPT = """
#!/usr/bin/env bash
for step in 1 2 3; do
  echo "{\\"loss\\": $REPRO_PARAM_n$step, \\"step\\": $step}" >> "$REPRO_METRICS"
done
echo "model of $REPRO_PARAM_n" > "$REPRO_MODEL"
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("code.py").write_text(FUNCTION)
    Path("train.sh").write_text(SCRIPT.strip() + "\n")
    return tmp_path


def search(**params: Any) -> tuple[dict[str, Any], pd.DataFrame, Recorder]:
    run = searches.search(**params)
    best: dict[str, Any] = json.loads(Path("best.json").read_text())
    return best, pd.read_csv("trials.csv"), run


@pytest.mark.parametrize("sampler", order.SAMPLERS)
def test_a_search_is_the_same_again_however_many_trials_run_at_once(sampler: str) -> None:
    grid = {"x": {"choice": [0.1, 0.2, 0.3]}, "n": {"range": [2]}}
    params: dict[str, Any] = {"sampler": sampler, "space": grid if sampler == "grid" else SPACE}
    params["outputs"] = {"best": "best.json", "trials": "trials.csv", "model": "model.txt"}
    left = []
    for threads in (2, 1):
        search(threads=threads, **params)
        left.append([Path(name).read_bytes() for name in ("best.json", "trials.csv", "model.txt")])
    assert left[0] == left[1]
    best, trials, _ = json.loads(left[0][0]), pd.read_csv("trials.csv"), None
    assert best["best"]["values"]["loss"] == trials["loss"].min()
    assert left[0][2].decode().split()[0] == str(best["best"]["trial"])
    assert len(trials) == (6 if sampler == "grid" else 12)
    assert best["ended_by"] == ("grid" if sampler == "grid" else "trials")


@pytest.mark.parametrize("pruner", [name for name in order.PRUNERS if name != "none"])
def test_pruning_depends_on_earlier_batches_only(pruner: str) -> None:
    options = {"median": {"n_startup_trials": 2}, "percentile": {"n_startup_trials": 2},
               "sha": {"min_resource": 1, "reduction_factor": 2}, "hyperband": {"max_resource": 4}}  # fmt: skip
    params = {"pruner": pruner, "pruner_options": options[pruner], "trials": 16, "parallel": 4}
    tables = [search(threads=threads, **params)[1] for threads in (4, 1)]
    pd.testing.assert_frame_equal(*tables)
    states = tables[0]["state"].value_counts()
    assert states["pruned"] > 0
    assert states["complete"] > 0
    # a pruned trial stopped at the step that it was pruned for
    pruned = tables[0][tables[0]["state"] == "pruned"]
    assert all(json.loads(steps)[-1][1] == loss
               for steps, loss in zip(pruned["steps"], pruned["loss"], strict=True))  # fmt: skip


def test_a_script_in_bash_is_measured_and_pruned() -> None:
    best, trials, run = search(
        trial={"script": "train.sh"},
        space={"n": {"randint": [1, 9]}},
        pruner="median",
        pruner_options={"n_startup_trials": 2},
        trials=8,
        outputs={"best": "best.json", "trials": "trials.csv", "model": "model"},
    )
    assert set(trials["state"]) == {"complete", "pruned"}
    for number, params, lines, state in run.trials:
        assert (number, state) == (trials["trial"][number], trials["state"][number])
        assert params["n"] == trials["params.n"][number]
        # the last step is the result
        assert [[line["step"], line["loss"]] for line in lines] == json.loads(
            trials["steps"][number]
        )
    lowest = int(trials[trials["state"] == "complete"]["params.n"].min())
    assert best["best"]["values"] == {"loss": 10 * lowest + 3}
    assert Path("model").read_text() == f"model of {lowest}\n"
    assert run.metrics["best_loss", None] == 10 * lowest + 3
    assert run.params["best.n"] == lowest


def test_a_space_may_depend_on_a_choice() -> None:
    nested = {
        "kind": {"choice": {"tree": {"n": {"randint": [0, 3]}, "x": 0.5}, "net": {}}},
        "layers": [{"range": [8, 65, 8]}, {"range": [8, 65, 8]}],
        "deep": {"rate": {"loguniform": [0.1, 1]}, "constant": "same"},
        "option": {"choice": [None, {"width": {"uniform": [0, 1]}}]},
    }
    Path("code.py").write_text(
        textwrap.dedent("""
        def train(params, trial):
            assert (params["kind"] == "tree") == ("n" in params)
            assert params["layers"][1] % 8 == 0 and params["deep"]["constant"] == "same"
            option = params["option"]
            return params["deep"]["rate"] + (0 if option is None else option["width"])
        """)
    )
    _, trials, _ = search(space=nested, trials=10, sampler="random")
    assert set(trials["state"]) == {"complete"}
    has_n = trials["params.kind=tree.n"].notna()
    assert list(has_n) == list(trials["params.kind"] == "tree")
    assert 0 < has_n.sum() < 10


def test_a_grid_has_each_combination_of_a_conditional_space_once() -> None:
    kind = {"choice": {"a": {"n": {"range": [3]}}, "b": {}}}
    choose = space.parse({"kind": kind, "z": {"choice": [1, 2]}})
    found = list(space.grid(choose))
    assert len(found) == 8
    assert len({json.dumps(one, sort_keys=True) for one in found}) == 8


def test_several_objectives_leave_those_that_no_other_beats() -> None:
    best, trials, run = search(
        trial={"function": "code.py:several"}, metric=["near", "far"],
        direction=["minimize", "minimize"],
    )  # fmt: skip
    assert len(best["best"]) == len(trials)
    assert run.metrics["trial_near", 0] == trials["near"][0]
    [line] = run.trials[0][2]
    assert line == {"near": trials["near"][0], "far": trials["far"][0], "step": 0}


def test_a_trial_that_fails_is_noted_and_the_search_goes_on() -> None:
    best, trials, run = search(trial={"function": "code.py:odd"}, trials=6)
    assert list(trials["state"][:4]) == ["complete", "failed", "failed", "complete"]
    assert best["trials"] == {"complete": 4, "failed": 2, "pruned": 0}
    assert run.metrics["trials_failed", None] == 2
    assert [state for *_, state in run.trials] == list(trials["state"])
    assert run.trials[1][2] == []


def test_a_trial_that_takes_too_long_fails() -> None:
    best, trials, _ = search(trial={"function": "code.py:slow"}, trials=4, timeout_s=5)
    assert list(trials["state"]) == ["complete", "failed", "complete", "complete"]
    assert best["trials"]["failed"] == 1


def test_a_search_without_any_result_says_why() -> None:
    with pytest.raises(WrapperError, match=r"got none; the last: AttributeError: module 'code'"):
        search(trial={"function": "code.py:nothing"}, trials=2)


def test_patience_ends_a_search_after_a_whole_batch() -> None:
    best, trials, _ = search(patience=3, trials=100, sampler="random")
    assert best["ended_by"] == "patience"
    assert len(trials) < 100
    assert len(trials) % 2 == 0


def test_time_ends_a_search_between_batches() -> None:
    best, trials, _ = search(time_s=0.001, trials=100)
    assert best["ended_by"] == "time"
    assert len(trials) == 2


def test_functions_share_their_data() -> None:
    import numpy as np

    pd.DataFrame({"a": [1, 2, 3]}).to_parquet("t.parquet")
    np.save("n.npy", np.array([10.0, 20.0]))
    _, trials, _ = search(
        trial={"function": "code.py:rows"},
        inputs={"table": "t.parquet", "numbers": "n.npy"},
        trials=4,
    )
    assert list(trials["loss"]) == pytest.approx(list(33 + trials["params.x"]))


def test_a_search_that_is_killed_goes_on_and_ends_the_same() -> None:
    program = textwrap.dedent("""
        import sys
        sys.path.insert(0, sys.argv[1])
        from searches import Recorder, Rule
        from snakemake_repro.wrappers.tuning.outputs import tune
        run = Recorder()
        tune(Rule(trials=20, pruner="median", outputs={
            "best": "best.json", "trials": "trials.csv", "model": "model"}), run)
        print(run.params["search.resumed_trials"])
        """)
    command = [sys.executable, "-c", program, str(Path(__file__).parents[1])]
    names = ("best.json", "trials.csv", "model")
    whole = subprocess.run(command, check=True, capture_output=True, text=True)
    expected = [Path(name).read_bytes() for name in names]
    assert whole.stdout.split()[-1] == "0"
    for name in names:
        Path(name).unlink()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = [path.read_text().count("\n") for path in Path(".repro/tuning").glob("*/*.jsonl")]
        if lines and max(lines) >= 7:
            break
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not Path("best.json").exists()
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert [Path(name).read_bytes() for name in names] == expected
    assert 7 <= int(again.stdout.split()[-1]) < 20
    assert list(Path(".repro/tuning").iterdir()) == []


def test_figures_and_their_page_are_the_same_bytes() -> None:
    outputs = {"best": "best.json", "trials": "trials.csv", "figures": "figures"}
    left = []
    for _ in range(2):
        search(trials=6, outputs=outputs)
        left.append({path.name: path.read_bytes() for path in Path("figures").iterdir()})
    assert left[0] == left[1]
    assert set(left[0]) == {
        "history.png",
        "importance.png",
        "index.html",
        "parallel.png",
        "slice.png",
    }
    assert left[0]["history.png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"space": {"x": {"randin": [1, 2]}}},
         "params: space: x: expected one of range, randint, uniform, loguniform, choice, got 'randin'"),
        ({"space": {"x": {"randint": [2, 1]}}},
         "params: space: x: expected two whole numbers [low, high] as randint, got [2, 1]"),
        ({"space": {"x": {"loguniform": [0, 1]}}},
         "params: space: x: expected numbers above 0 as loguniform, got [0, 1]"),
        ({"space": {"x": 1}},
         "params: space: expected at least one dimension (range, randint, uniform, loguniform, choice), got constants"),
        ({"sampler": "grid"},
         "params: space: x: expected range, randint or choice for sampler='grid', got numbers from -1.0 to 1.0"),
        ({"sampler": "tp"},
         "params: expected one of tpe, random, cmaes, grid, qmc as sampler=, got 'tp'"),
        ({"trial": {"function": "code.py"}},
         "params: trial: expected 'file.py:function' or 'module:function' as function, got 'code.py'"),
        ({"trial": {"script": "no.sh"}},
         "params: trial: expected a file as script, got 'no.sh', which is missing"),
        ({"metric": ["a", "b"], "direction": ["minimize", "maximize"], "pruner": "sha"},
         "params: expected one objective as metric= beside pruner, got several"),
        ({"trails": 5},
         "params: expected some of "),
    ],
)  # fmt: skip
def test_a_mistake_is_said_on_one_line(params: dict[str, Any], message: str) -> None:
    assert refusal(**params).startswith(message)


def test_gpus_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert [slot.devices for slot in slots_of(2, gpus=0, fewer=False)] == [None, None]
    assert [slot.devices for slot in slots_of(3, gpus=1, fewer=False)] == [["4"], ["5"], ["6"]]
    assert [slot.devices for slot in slots_of(2, gpus=2, fewer=True)] == [["4", "5"]]
    for count, gpus, fewer, needed in ((2, 2, False, 4), (2, 4, True, 4)):
        with pytest.raises(WrapperError, match=f"expected {needed} GPUs for this job, got 3"):
            slots_of(count, gpus=gpus, fewer=fewer)
