"""What a search costs beyond its trials, and against Ray Tune's default runner.

python tests/benchmarks/bench_tune.py

Ray Tune is not a dependency: ``pip install 'ray[tune]' optuna`` brings what it needs, and without
it its part is left out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake.iocontainers import InputFiles, OutputFiles, Params

from snakemake_repro.wrappers.tuning import order
from snakemake_repro.wrappers.tuning.search import Search

OBJECTIVE_S = 0.05
WARM = 4
FUNCTION = f"""
import time

def wait(params, trial):
    time.sleep({OBJECTIVE_S})
    return params["x"] ** 2

def uneven(params, trial):
    time.sleep({OBJECTIVE_S} * (8 if trial.number % 4 == 0 else 1))
    return params["x"] ** 2
"""
SCRIPT = f"""
sleep {OBJECTIVE_S}
echo "{{\\"loss\\": $REPRO_PARAM_x}}" >> "$REPRO_METRICS"
"""


class _Rule:
    def __init__(
        self, trial: Mapping[str, str], trials: int, parallel: int, *, asynchronous: bool
    ) -> None:
        self.input = InputFiles(fromdict={})
        self.output = OutputFiles(fromdict={"best": "best.json"})
        self.threads = parallel
        self.params = Params(
            fromdict={
                "trial": trial,
                "space": {"x": {"uniform": [-1, 1]}},
                "metric": "loss",
                "trials": trials,
                "parallel": parallel,
                "asynchronous": asynchronous,
            }
        )


def _seconds(
    trial: Mapping[str, str], trials: int, parallel: int, *, asynchronous: bool = False
) -> float:
    """Return how long a search takes, its processes' start included."""
    started = time.monotonic()
    rule = _Rule(trial, trials, parallel, asynchronous=asynchronous)
    with Search(order.parse(rule)) as search:
        found = search.run()
        search.done()
    assert all(one.state == "complete" for one in found.tried)
    return time.monotonic() - started


def _beyond_ms(trial: Mapping[str, str], trials: int = 50) -> float:
    """Return the milliseconds of a trial beyond its own, after the first few."""
    whole, first = _seconds(trial, WARM + trials, 1), _seconds(trial, WARM, 1)
    return 1000 * ((whole - first) / trials - OBJECTIVE_S)


def _tune_seconds(trials: int) -> float:
    """Return how long Ray Tune takes for the same on two CPUs, its cluster running."""
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    def wait(config: dict[str, float]) -> dict[str, float]:
        time.sleep(OBJECTIVE_S)
        return {"loss": config["x"] ** 2}

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    started = time.monotonic()
    with contextlib.redirect_stdout(None):
        tune.Tuner(
            wait,
            param_space={"x": tune.uniform(-1, 1)},
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                num_samples=trials,
                search_alg=OptunaSearch(seed=1),
                max_concurrent_trials=2,
            ),
            run_config=tune.RunConfig(verbose=0, storage_path=str(Path.cwd() / "tune")),
        ).fit()
    seconds = time.monotonic() - started
    ray.shutdown()
    return seconds


def main() -> None:
    """Run the benchmark."""
    function: dict[str, Any] = {"function": "wait.py:wait"}
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        Path("wait.py").write_text(FUNCTION)
        Path("wait.sh").write_text(SCRIPT)
        print(
            f"function, beyond its own {1000 * OBJECTIVE_S:g} ms   {_beyond_ms(function):7.1f} ms"
        )
        script = _beyond_ms({"script": "wait.sh"})
        print(f"script, beyond its own {1000 * OBJECTIVE_S:g} ms     {script:7.1f} ms")
        print(f"200 function trials, two at once {_seconds(function, 200, 2):7.1f} s")
        uneven = {"function": "wait.py:uneven"}
        batches = _seconds(uneven, 40, 2)
        without = _seconds(uneven, 40, 2, asynchronous=True)
        print(f"40 uneven trials, two at once    {batches:7.1f} s in batches")
        print(f"the same, asynchronous           {without:7.1f} s ({without / batches:.2f} times)")
        ours = _seconds(function, 20, 2)
        print(f"20 function trials, two at once  {ours:7.1f} s")
        if importlib.util.find_spec("tensorboardX") is None:
            print("Ray Tune: not measured, needs ray[tune]")
            return
        theirs = _tune_seconds(20)
        print(f"the same with Ray Tune           {theirs:7.1f} s ({theirs / ours:.1f} times)")


if __name__ == "__main__":
    main()
