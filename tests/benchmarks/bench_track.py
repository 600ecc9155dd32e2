"""What ``track`` costs a job: alone, with autologging, and for a model that is logged.

    python tests/benchmarks/bench_track.py [--repeats 11]

Each figure is the median of fresh processes, as jobs are. What MLflow itself takes to be imported and
to find what it can patch is timed apart: whoever wants autologging pays it anyway. The template of the
store is made once before.
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
import mlflow, mlflow.store.tracking.sqlalchemy_store
mlflow.autolog(log_models=False, silent=True)
mlflow.autolog(disable=True)
lap()
with track(autolog=True):
    pass
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


def main() -> None:
    """Run the benchmark."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as installations are
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11)
    repeats = parser.parse_args().repeats
    _laps(AUTOLOG, 1)
    imported, block = _laps(PLAIN, repeats)
    print(f"import of track                          {imported:8.1f} ms")
    print(f"a block of track with 100 metrics        {block:8.1f} ms")
    library, block = _laps(AUTOLOG, repeats)
    print(f"MLflow's own import and patching         {library:8.1f} ms")
    print(f"a block with autologging beyond that     {block:8.1f} ms")
    [model] = _laps(MODEL, repeats)
    print(f"log_model with an example                {model:8.1f} ms")


if __name__ == "__main__":
    main()
