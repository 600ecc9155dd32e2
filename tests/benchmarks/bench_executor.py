"""What grows with a workflow: chains, width, the driver's memory, forks.

    python tests/benchmarks/bench_executor.py [--jobs 1000] [--chain 100] [--forks 40]

Each figure stands beside what Snakemake's local executor takes in the same run. The row of
`cluster-generic` needs snakemake-executor-plugin-cluster-generic and says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from clusters import RunningCluster, ray_cluster

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.records import JobEnded

LOCAL = ("--cores", "2", "--scheduler", "firstfit")
CLUSTER_GENERIC = "snakemake_executor_plugin_cluster_generic"
WIDTH = 8

WIDE = """
rule all:
    input: expand("out/{{i}}.txt", i=range({jobs}))
rule echo:
    output: "out/{{i}}.txt"
    shell: "echo {{wildcards.i}} > {{output}}"
"""
CHAIN = """
rule all:
    input: "out/{jobs}.txt"
rule first:
    output: "out/0.txt"
    shell: "echo 0 > {{output}}"
rule link:
    input: lambda wildcards: f"out/{{int(wildcards.i) - 1}}.txt"
    output: "out/{{i,[1-9][0-9]*}}.txt"
    shell: "cp {{input}} {{output}}"
"""
RUN = """
rule all:
    input: expand("out/{{i}}.txt", i=range({jobs}))
rule run:
    output: "out/{{i}}.txt"
    run:
        with open(output[0], "w") as file:
            file.write(wildcards.i)
"""
_POLL_S = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What one `snakemake` took: seconds, and the peak of its own memory in MiB."""

    wall: float
    memory: float


def _clean(workdir: Path) -> None:
    for name in ("out", ".snakemake", ".repro", "mlflow.db", "mlruns"):
        path = workdir / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)


def _run(workdir: Path, snakefile: str, args: Sequence[str]) -> Cost:
    _clean(workdir)
    (workdir / "Snakefile").write_text(snakefile)
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", *args]
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{workdir}/mlflow.db"}
    started, memory = time.monotonic(), 0.0
    with subprocess.Popen(
        command, cwd=workdir, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            memory = max(memory, _peak(process.pid))
            time.sleep(_POLL_S)
    wall = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(wall=wall, memory=memory)


def _peak(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM")]
    return int(found[0]) / 1024 if found else 0.0


def _fork_cpu_ms(workdir: Path) -> float:
    """Return the median CPU time of the jobs of the latest run, as recorded."""
    store = JournalStore(workdir)
    [run] = [path.name for path in (workdir / ".repro/journal").iterdir()]
    used = [
        1000 * (entry.job.use.cpu_s or 0)
        for entry in store.entries(run)
        if isinstance(entry, JobEnded) and entry.job.use is not None
    ]
    return statistics.median(used)


def main() -> None:
    """Run the benchmark."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as installations are
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--chain", type=int, default=100)
    parser.add_argument("--forks", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="repro-bench-") as directory, ray_cluster(2) as cluster:
        os.environ.update(cluster.environ)
        _bench(Path(directory), cluster, options)


def _bench(workdir: Path, cluster: RunningCluster, options: argparse.Namespace) -> None:
    ray = (
        *("--executor", "ray", "--ray-address", cluster.address),
        *("--jobs", "64", "--scheduler", "firstfit"),
    )
    _run(workdir, RUN.format(jobs=4), ray)  # warms the workers and their agents
    chain = CHAIN.format(jobs=options.chain)
    local, ours = (_run(workdir, chain, args) for args in (LOCAL, ray))
    print(
        f"chain of {options.chain:<6} {ours.wall:8.2f} s   {ours.wall / local.wall:6.2f} of local"
    )

    small = _run(workdir, WIDE.format(jobs=options.jobs), ray)
    wide = WIDE.format(jobs=WIDTH * options.jobs)
    local, ours = (_run(workdir, wide, args) for args in (LOCAL, ray))
    growth = ours.wall / small.wall
    print(f"{WIDTH} times as wide {ours.wall:8.2f} s   {growth:6.2f} times as long")
    memory = ours.memory / local.memory
    print(f"driver's memory {ours.memory:8.0f} MiB {memory:6.2f} of local")

    _run(workdir, RUN.format(jobs=options.forks), ray)
    print(f"`run:` in a fork {_fork_cpu_ms(workdir):7.0f} ms of CPU a job")

    if importlib.util.find_spec(CLUSTER_GENERIC) is None:
        print("cluster-generic: snakemake-executor-plugin-cluster-generic is not installed")
        return
    submit = ("--executor", "cluster-generic", "--cluster-generic-submit-cmd", "sh")
    few = 20
    generic = _run(workdir, WIDE.format(jobs=few), (*submit, "--jobs", "2")).wall / few
    per_job = small.wall / options.jobs
    print(f"cluster-generic {1000 * generic:8.0f} ms a job, ours {per_job / generic:.4f} of it")


if __name__ == "__main__":
    main()
