"""The library behind the wrapper ``tune``: asynchronous searches, and their order again."""

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
from searches import SPACE, refusal, search

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning import events

FUNCTION = """
import pathlib
import time

def pace(trial):
    return json_of("pace.json").get(str(trial.number % 3), 0)

def json_of(name):
    import json
    return json.loads(pathlib.Path(name).read_text())

def train(params, trial):
    far = (params["x"] - 0.3) ** 2 + params["n"]
    for step in range(1, 10):
        time.sleep(pace(trial))
        trial.report(far + 1 / step, step=step)
    if params["n"] == 2:
        raise ValueError("not two")
    trial.model.write_text(f"{trial.number} {params['x']}")
    return far

def first_waits(params, trial):
    marks = pathlib.Path("marks")
    deadline = time.monotonic() + 30
    while trial.number == 0 and len(list(marks.glob("*"))) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (marks / str(trial.number)).touch()
    return params["x"]

def again(params):
    runs = pathlib.Path("runs")
    runs.write_text(runs.read_text() + "." if runs.exists() else ".")
    return len(runs.read_text())

def other_step(params, trial):
    trial.report(1.0, step=again(params))
    return 0.5

def other_value(params, trial):
    trial.report(float(again(params)), step=1)
    return 0.5

def other_end(params, trial):
    trial.report(1.0, step=1)
    return again(params)

def one_of_many(params, trial):
    if again(params) == 4:
        raise ValueError("not now")
    trial.report(float("nan"), step=1)
    return 0.5

def several(params, trial):
    trial.report(1.0, step=1)
    return {"near": abs(params["x"]), "far": -abs(params["x"])}
"""
SCRIPT = """
#!/usr/bin/env bash
for step in 1 2 3 4 5; do
  echo "{\\"loss\\": $REPRO_PARAM_n$step, \\"step\\": $step}" >> "$REPRO_METRICS"
  sleep "$(cat pace.txt)"
done
echo "model of $REPRO_PARAM_n" > "$REPRO_MODEL"
"""
OUTPUTS = {
    "best": "best.json",
    "trials": "trials.csv",
    "model": "model.txt",
    "order": "order.jsonl",
}
ASHA: dict[str, Any] = {
    "asynchronous": True,
    "pruner": "sha",
    "pruner_options": {"min_resource": 1, "reduction_factor": 2},
    "trials": 16,
    "outputs": OUTPUTS,
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("code.py").write_text(FUNCTION)
    Path("train.sh").write_text(SCRIPT.strip() + "\n")
    paced({})


def paced(seconds: dict[str, float]) -> None:
    """Say how long a step takes, by the trial's number modulo 3."""
    Path("pace.json").write_text(json.dumps(seconds))


def left() -> dict[str, bytes]:
    return {name: Path(path).read_bytes() for name, path in OUTPUTS.items()}


def record() -> events.Record:
    return events.Record.parse(Path("order.jsonl").read_text(), "order.jsonl")


def keep_order() -> dict[str, str]:
    Path("order.jsonl").rename("kept.jsonl")
    return {"order": "kept.jsonl"}


def test_a_slow_trial_does_not_hold_the_next_ones() -> None:
    Path("marks").mkdir()
    # the first trial ends only when five others have run
    search(trial={"function": "code.py:first_waits"}, asynchronous=True, trials=8,
           outputs={"best": "best.json", "trials": "trials.csv", "order": "order.jsonl"})  # fmt: skip
    ended = [event.trial for event in record().events if isinstance(event, events.Ended)]
    assert ended.index(0) >= 4  # the fifth may still be about to end
    assert sorted(ended) == list(range(8))
    assert list(pd.read_csv("trials.csv")["trial"]) == list(range(8))


def test_each_trial_knows_all_that_ended_before_as_in_batches_of_one() -> None:
    params = {**ASHA, "threads": 1, "parallel": 1}
    search(**params)
    table = Path("trials.csv").read_bytes()
    batches = {name: path for name, path in OUTPUTS.items() if name != "order"}
    search(**{**params, "asynchronous": False, "outputs": batches})
    assert Path("trials.csv").read_bytes() == table


def test_no_more_trials_run_at_once_than_fit() -> None:
    search(asynchronous=True, trials=6, outputs=OUTPUTS)
    running = 0
    for event in record().events:
        running += {"Asked": 1, "Told": 0, "Ended": -1}[type(event).__name__]
        assert 0 <= running <= 2


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "grid", "qmc"])
def test_an_order_is_repeated_at_any_speed_with_any_number_of_threads(sampler: str) -> None:
    grid = {"x": {"choice": [0.1, 0.2, 0.3]}, "n": {"range": [3]}}
    params = {**ASHA, "sampler": sampler, "space": grid if sampler == "grid" else SPACE}
    paced({"0": 0.004})
    search(threads=2, **params)
    first, inputs = left(), keep_order()
    for threads, paces in ((1, {"1": 0.004}), (2, {"2": 0.004})):
        paced(paces)
        run = search(threads=threads, inputs=inputs, **params)
        assert left() == first
        assert run.params["search.resumed_trials"] == 0
    assert list(Path(".repro/tuning").iterdir()) == []


@pytest.mark.parametrize("pruner", ["none", "median", "percentile", "hyperband"])
def test_every_pruner_decides_the_same_again(pruner: str) -> None:
    options = {"median": {"n_startup_trials": 2}, "percentile": {"n_startup_trials": 2},
               "hyperband": {"max_resource": 9}}  # fmt: skip
    params = {**ASHA, "pruner": pruner, "pruner_options": options.get(pruner, {})}
    search(**params)
    first, inputs = left(), keep_order()
    search(threads=1, inputs=inputs, **params)
    assert left() == first
    assert (json.loads(first["best"])["trials"]["pruned"] > 0) == (pruner != "none")


def test_asha_decides_at_a_rung_from_whoever_was_there_before() -> None:
    paced({"0": 0.01})
    search(**ASHA)
    told = [event for event in record().events if isinstance(event, events.Told)]
    rungs: dict[int, list[float]] = {1: [], 2: [], 4: [], 8: []}
    for event in told:
        if event.step not in rungs:
            assert not event.pruned
            continue
        there = rungs[event.step]
        there.append(event.value)
        # the better half goes on, of those that have come so far
        assert event.pruned == (event.value > sorted(there)[max(0, len(there) // 2 - 1)])
    pruned = [event for event in told if event.pruned]
    trials = pd.read_csv("trials.csv")
    assert len(pruned) == (trials["state"] == "pruned").sum() > 0
    # nobody waits for a rung to fill: the last trial begins after some were pruned
    kinds = [(type(event).__name__, event.trial) for event in record().events]
    assert kinds.index(("Told", pruned[0].trial)) < kinds.index(("Asked", 15))


def test_a_script_is_repeated_however_its_lines_are_read() -> None:
    params = {**ASHA, "trial": {"script": "train.sh"}, "space": {"n": {"randint": [1, 9]}}}
    params["trials"] = 8
    Path("pace.txt").write_text("0.03")
    search(**params)
    first, inputs = left(), keep_order()
    Path("pace.txt").write_text("0")
    search(inputs=inputs, **params)
    assert left() == first
    assert json.loads(first["best"])["trials"]["pruned"] > 0


def test_several_objectives_have_an_order_too() -> None:
    outputs = {"best": "best.json", "trials": "trials.csv", "order": "order.jsonl"}
    params: dict[str, Any] = {"trial": {"function": "code.py:several"}, "metric": ["near", "far"],
                              "direction": ["minimize", "minimize"], "outputs": outputs,
                              "asynchronous": True, "trials": 4}  # fmt: skip
    search(**params)
    first = [Path(path).read_bytes() for path in outputs.values()]
    search(inputs=keep_order(), **params)
    assert [Path(path).read_bytes() for path in outputs.values()] == first


def test_patience_ends_an_asynchronous_search_and_its_repeat() -> None:
    params = {**ASHA, "patience": 3, "trials": 100, "sampler": "random"}
    search(**params)
    first, inputs = left(), keep_order()
    assert json.loads(first["best"])["ended_by"] == "patience"
    search(inputs=inputs, **params)
    assert left() == first


@pytest.mark.parametrize("repeats", [False, True])
def test_an_asynchronous_search_that_is_killed_goes_on(*, repeats: bool) -> None:
    paced({"0": 0.01, "1": 0.005, "2": 0.002})
    inputs: dict[str, str] = {}
    if repeats:
        search(**ASHA)
        first, inputs = left(), keep_order()
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, sys.argv[1])
        from searches import Recorder, Rule
        from snakemake_repro.wrappers.tuning.outputs import tune
        run = Recorder()
        tune(Rule(inputs={inputs!r}, **{ASHA!r}), run)
        print(run.params["search.resumed_trials"])
        """)
    command = [sys.executable, "-c", program, str(Path(__file__).parents[1])]
    for name in OUTPUTS.values():
        Path(name).unlink(missing_ok=True)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done = [p.read_text().count("\n") for p in Path(".repro/tuning").glob("*/trials.jsonl")]
            if done and max(done) >= 5:
                break
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    assert not Path("best.json").exists()
    noted = [path.read_text() for path in Path(".repro/tuning").glob("*/order.jsonl")]
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert 5 <= int(again.stdout.split()[-1]) < 16
    assert list(Path(".repro/tuning").iterdir()) == []
    if repeats:
        assert left() == first
        assert noted == []
        return
    # what was noted before the kill stands, and the whole is repeated as one that was not killed
    whole = Path("order.jsonl").read_text()
    assert "\n".join(noted[0].splitlines()) in whole
    first, inputs = left(), keep_order()
    search(inputs=inputs, **ASHA)
    assert left() == first


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 2}, "seed: expected 1 as recorded, got 2"),
        ({"sampler": "random"}, 'sampler: expected ["tpe", {}] as recorded, got ["random", {}]'),
        ({"space": {"x": {"uniform": [-1.0, 2.0]}, "n": {"randint": [0, 3]}}},
         "space.x.uniform: expected [-1.0, 1.0] as recorded, got [-1.0, 2.0]"),
        ({"trials": 7}, "trials: expected 16 as recorded, got 7"),
        ({"inputs": {"table": "code.py"}}, 'inputs.table: expected nothing as recorded, got "sha'),
    ],
)  # fmt: skip
def test_an_order_of_another_search_is_named(changed: dict[str, Any], message: str) -> None:
    search(**ASHA)
    inputs = {**keep_order(), **changed.pop("inputs", {})}
    with pytest.raises(WrapperError) as caught:
        search(inputs=inputs, **{**ASHA, **changed})
    assert caught.value.message.startswith(f"input: kept.jsonl: {message}")
    assert caught.value.hint is not None


def test_an_order_for_other_code_is_named() -> None:
    search(**ASHA)
    inputs = keep_order()
    with Path("code.py").open("a") as file:
        file.write("# other\n")
    with pytest.raises(WrapperError, match=r'^input: kept\.jsonl: code: expected "sha256:'):
        search(inputs=inputs, **ASHA)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("other_value", "expected 1.0 at step 1, got 4.0"),
        ("other_step", "expected no value at step 4, got 1.0"),
        ("other_end", "expected complete with [1.0] after 1 intermediate values, got [4.0] after 1"),
        ("one_of_many", "expected complete with [0.5] after 1 intermediate values, got ValueError: not now after 0"),
    ],
)  # fmt: skip
def test_trials_that_give_something_else_do_not_fit_their_order(
    function: str, message: str
) -> None:
    params: dict[str, Any] = {
        "trial": {"function": f"code.py:{function}"}, "threads": 1, "asynchronous": True,
        "trials": 3, "outputs": {"best": "best.json", "order": "order.jsonl"},
    }  # fmt: skip
    search(**params)
    with pytest.raises(WrapperError) as caught:
        search(inputs=keep_order(), **params)
    assert caught.value.message == f"input: kept.jsonl: trial 0: {message}"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: lines[:-1], "expected the order of a whole search"),
        (lambda lines: ["no", *lines], "expected the order of a whole search"),
        (lambda _: [], "expected the order of a whole search"),
        (lambda lines: [lines[0].replace('"schema": 1', '"schema": 2'), *lines[1:]],
         "expected the schema 1 of the order of a search, got 2"),
        (lambda lines: [*lines[:-2], lines[-1]], "its end: expected an end of every trial, got"),
        (lambda lines: [lines[0], *lines[2:]], "line 2: expected "),
    ],
)  # fmt: skip
def test_a_file_that_is_no_whole_order_is_said(edit: Any, message: str) -> None:
    search(**ASHA)
    inputs = keep_order()
    path = Path("kept.jsonl")
    path.write_text("".join(f"{line}\n" for line in edit(path.read_text().splitlines())))
    with pytest.raises(WrapperError) as caught:
        search(inputs=inputs, **ASHA)
    assert caught.value.message.startswith(f"input: kept.jsonl: {message}")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"asynchronous": "yes"}, "params: expected True or False as asynchronous=, got 'yes'"),
        ({"outputs": OUTPUTS}, "output: expected order= only beside asynchronous=True"),
        ({"inputs": {"order": "kept.jsonl"}},
         "input: expected order= only beside asynchronous=True"),
        ({"inputs": {"order": "kept.jsonl"}, "asynchronous": True},
         "input: kept.jsonl: cannot be read as order="),
    ],
)  # fmt: skip
def test_a_mistake_about_an_order_is_said_on_one_line(params: dict[str, Any], message: str) -> None:
    assert refusal(**params).startswith(message)
