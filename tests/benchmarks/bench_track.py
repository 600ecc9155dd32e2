"""What ``track`` costs a job: alone, with autologging, and for a model that is logged.

    python tests/benchmarks/bench_track.py [--repeats 11]

Each figure is the median of fresh processes, as jobs are. A block with autologging is compared with
bare MLflow, which is imported, begins a run in a store that is there, and finds what it can patch:
whoever wants autologging pays that anyway. Stores are made before; the two take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CLOCK = """
import time
started = time.perf_counter()
def lap():
    global started
    now = time.perf_counter()
    print(1000 * (now - started))
    started = time.perf_counter()
"""
PLAIN = """
from snakemake_repro import track
lap()
with track() as run:
    run.log_params({"depth": 3})
    for step in range(100):
        run.log_metric("loss", 1 / (step + 1), step=step)
lap()
"""
AUTOLOG = """
import sklearn.ensemble
from snakemake_repro import track
started = time.perf_counter()
with track(autolog=True):
    pass
lap()
"""
BARE = """
import os
import sklearn.ensemble
started = time.perf_counter()
import mlflow
mlflow.set_tracking_uri(os.environ["BENCH_STORE"])
with mlflow.start_run():
    mlflow.autolog(log_models=False, log_datasets=False, silent=True)
mlflow.autolog(disable=True)
lap()
"""
MODEL = """
import numpy as np
from sklearn.ensemble import RandomForestClassifier
import mlflow.sklearn, mlflow.pyfunc
from snakemake_repro import track
rows = np.random.default_rng(1).normal(size=(1000, 5))
model = RandomForestClassifier(50, random_state=1).fit(rows, rows[:, 0] > 0)
with track() as run:
    started = time.perf_counter()
    run.log_model(model, example=rows[:5])
    lap()
"""


def _laps(script: str, repeats: int) -> list[float]:
    """Return the median of each lap of a script, in ms, as a job of ``--executor ray`` has it."""
    found = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="repro-bench-") as directory:
            place = Path(directory)
            (place / "artifacts").mkdir()
            job = {
                "REPRO_JOB": "{}",
                "REPRO_METRICS": str(place / "metrics.jsonl"),
                "REPRO_ARTIFACTS": str(place / "artifacts"),
            }
            command = [sys.executable, "-W", "ignore", "-c", CLOCK + script]
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env={**os.environ, **job}
            )
        found.append([float(line) for line in done.stdout.split()])
    return [statistics.median(laps) for laps in zip(*found, strict=True)]


def _turns(repeats: int) -> tuple[float, float]:
    """Return the medians of bare MLflow and of ours, in turn."""
    pairs = [(*_laps(BARE, 1), *_laps(AUTOLOG, 1)) for _ in range(repeats)]
    bare, ours = zip(*pairs, strict=True)
    return statistics.median(bare), statistics.median(ours)


def main() -> None:
    """Run the benchmark."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as installations are
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11)
    repeats = parser.parse_args().repeats
    imported, block = _laps(PLAIN, repeats)
    print(f"import of track                          {imported:8.1f} ms")
    print(f"a block of track with 100 metrics        {block:8.1f} ms")
    with tempfile.TemporaryDirectory(prefix="repro-bench-") as directory:
        os.environ["BENCH_STORE"] = f"sqlite:///{directory}/mlflow.db"
        _turns(1)
        bare, ours = _turns(repeats)
    print(f"a run of bare MLflow with autologging    {bare:8.1f} ms")
    print(f"a block with autologging beyond that     {ours - bare:8.1f} ms")
    [model] = _laps(MODEL, repeats)
    print(f"log_model with an example                {model:8.1f} ms")


if __name__ == "__main__":
    main()
