"""1,000 ``echo`` rules: ``--executor ray`` on a warm cluster against Snakemake's local executor.

    python tests/benchmarks/bench_echo.py [--jobs 1000] [--repeats 3]

Runs the variants in turn, so that a machine that slows down slows all of them, and prints the
median of each and its ratio to the honest baseline: ``--cores 2 --scheduler firstfit``, which
records no lineage. The clock stops when ``snakemake`` exits; what is then still on its way to
MLflow is timed apart.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from clusters import ray_cluster

SNAKEFILE = """
rule all:
    input: expand("out/{{i}}.txt", i=range({jobs}))
rule echo:
    output: "out/{{i}}.txt"
    shell: "echo {{wildcards.i}} > {{output}}"
"""


def _run(workdir: Path, *args: str) -> float:
    for name in ("out", ".snakemake", ".repro", "mlflow.db", "mlruns"):
        path = workdir / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", *args]
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{workdir}/mlflow.db"}
    started = time.monotonic()
    subprocess.run(command, cwd=workdir, env=env, check=True, capture_output=True)
    return time.monotonic() - started


def _delivery(workdir: Path) -> float:
    started = time.monotonic()
    command = [sys.executable, "-m", "snakemake_repro.cli", "sync"]
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{workdir}/mlflow.db"}
    subprocess.run(command, cwd=workdir, env=env, check=True, capture_output=True)
    return time.monotonic() - started


def main() -> None:
    """Run the benchmark."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as installations are
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="repro-bench-") as directory, ray_cluster(2) as cluster:
        os.environ.update(cluster.environ)
        workdir = Path(directory)
        (workdir / "Snakefile").write_text(SNAKEFILE.format(jobs=options.jobs))
        ray = (
            "--executor",
            "ray",
            "--ray-address",
            cluster.address,
            "--jobs",
            "64",
            "--scheduler",
            "firstfit",
        )
        variants = {
            "--cores 2 --scheduler firstfit": ("--cores", "2", "--scheduler", "firstfit"),
            "--cores 2": ("--cores", "2"),
            "--executor ray": ray,
            "--executor ray --ray-no-record": (*ray, "--ray-no-record"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        deliveries = []
        _run(workdir, *ray)  # warms the workers
        for _ in range(options.repeats):
            for name, args in variants.items():
                seconds[name].append(_run(workdir, *args))
                if name == "--executor ray":
                    deliveries.append(_delivery(workdir))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    baseline = medians["--cores 2 --scheduler firstfit"]
    for name, median in medians.items():
        low, high = min(seconds[name]), max(seconds[name])
        per_job = 1000 * median / options.jobs
        print(
            f"{name:32} {median:7.2f} s ({low:.2f}-{high:.2f})  {per_job:6.2f} ms/job  "
            f"ratio {median / baseline:.2f}"
        )
    print(f"{'rest of the delivery to MLflow':32} {statistics.median(deliveries):7.2f} s")


if __name__ == "__main__":
    main()
