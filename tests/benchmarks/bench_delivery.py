"""Delivery of a run to an ``mlflow server``, against the same calls of a bare ``MlflowClient``.

    python tests/benchmarks/bench_delivery.py [--jobs 300] [--repeats 3]

The bare client makes, for each job, a run with the same tags, parameters, metrics and datasets, in
the fewest requests that the interface has, and does nothing else; whatever it needs is prepared
before its clock starts. Both go to one server, in turn, each time to an experiment of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench_index import write
from servers import MlflowServer

from snakemake_repro.backends import mlflow_fields as fields
from snakemake_repro.backends.index import open_index
from snakemake_repro.backends.mlflow_tracker import MlflowTracker, _dataset
from snakemake_repro.interfaces import Tracker
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.operations.deliver import Deliveries


class _Destination:
    def __init__(self, uri: str) -> None:
        self._tracker = MlflowTracker(uri)
        self._uri = uri

    def name(self, history: RunHistory) -> str:
        """Return the server's address."""
        return self._uri

    def tracker(self, history: RunHistory) -> Tracker:
        """Return the one tracker."""
        return self._tracker


def _bare(uri: str, history: RunHistory, name: str) -> float:
    """Return the seconds that the calls take by themselves."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    prepared = [
        {
            "start": fields.milliseconds(job.record.started or history.run.started),
            "end": fields.milliseconds(job.record.finished or history.run.started),
            "status": fields.job_status(job),
            "tags": [RunTag(*item) for item in fields.job_tags(history, job).items()],
            "params": [Param(*item) for item in fields.job_params(job).items()],
            "metrics": [Metric(*item) for item in fields.job_metrics(job)],
            "inputs": [_dataset(*found) for found in fields.datasets(job)],
        }
        for job in history.jobs
    ]
    client = MlflowClient(uri)
    started = time.monotonic()
    experiment = client.create_experiment(name)
    for job in prepared:
        run = client.create_run(experiment, start_time=job["start"]).info.run_id
        client.log_batch(
            run, tags=job["tags"], params=job["params"], metrics=job["metrics"], synchronous=True
        )
        client.log_inputs(run, datasets=job["inputs"])
        client.set_terminated(run, status=job["status"], end_time=job["end"])
    return time.monotonic() - started


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    ours, bare = [], []
    with tempfile.TemporaryDirectory(prefix="repro-bench-") as directory:
        server = MlflowServer(Path(directory) / "server")
        server.start()
        try:
            MlflowTracker(server.uri)  # its first request takes the server seconds
            for repeat in range(options.repeats):
                root = Path(directory) / "work"
                write(root, 1, options.jobs)
                index = open_index(root)
                (run_id,) = index.run_ids()
                history = index.load(run_id)
                bare.append(_bare(server.uri, history, f"bare {repeat}"))
                started = time.monotonic()
                Deliveries(root, _Destination(server.uri)).deliver(run_id)
                ours.append(time.monotonic() - started)
                shutil.rmtree(root)
        finally:
            server.stop()
    rate = statistics.median(ours), statistics.median(bare)
    for name, seconds in zip(("delivery", "bare calls"), rate, strict=True):
        print(f"{name:10} {seconds:7.2f} s  {1000 * seconds / options.jobs:6.1f} ms a job")
    print(f"ratio {rate[0] / rate[1]:.2f}")


if __name__ == "__main__":
    main()
