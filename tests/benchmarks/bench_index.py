"""The record of 100,000 jobs and 1,000,000 files: the first index, and questions to it.

    python tests/benchmarks/bench_index.py [--runs 50] [--jobs 2000]

Prints the seconds of the first command, which builds the index, and the medians of later ones,
each a process of its own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from recordings import CLEAN, EPOCH, HOST, PINNED

from snakemake_repro.backends.journal import encode
from snakemake_repro.records import (
    Digest,
    EnvironmentSeen,
    FileRecord,
    HostSeen,
    JobAccepted,
    JobEnded,
    JobRecord,
    JobSpec,
    ResourceUse,
    RunEnd,
    RunEnded,
    RunStarted,
    Source,
    WorkflowRun,
)

FILES = 5
"""Inputs, and outputs, of one job."""
STEP = 4
"""Jobs between one and the one it reads from."""


def _digest(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def _job(run_id: str, run: int, number: int, at: str) -> JobRecord:
    source = f"work/{number - STEP}" if number >= STEP else "data"
    seed = run if number >= STEP else 0
    inputs = tuple(
        FileRecord(path=f"{source}/{k}.dat", digest=_digest(f"{seed} {source} {k}"), size=100)
        for k in range(FILES)
    )
    outputs = tuple(
        FileRecord(
            path=f"work/{number}/{k}.dat", digest=_digest(f"{run} work/{number} {k}"), size=100
        )
        for k in range(FILES)
    )
    spec = JobSpec(
        rule=f"stage{number % STEP}",
        kind="shell",
        wildcards={"n": str(number)},
        command="simulate",
        inputs=inputs,
        outputs=outputs,
        environment=PINNED.digest,
    )
    return JobRecord(
        id=uuid.uuid4().hex,
        run_id=run_id,
        jobid=number,
        spec=spec,
        key=_digest(f"key {run} {number}"),
        started=at,
        finished=at,
        outputs=outputs,
        host=HOST.id,
        use=ResourceUse(wall_s=1.0, cpu_user_s=0.5, cpu_system_s=0.1, max_rss_mb=100.0),
    )


def write(root: Path, runs: int, jobs: int) -> None:
    """Write the journals of many runs."""
    for run in range(runs):
        run_id = uuid.uuid4().hex
        began = EPOCH + dt.timedelta(hours=run)
        at = began.isoformat(timespec="microseconds")
        directory = root / ".repro" / "journal" / run_id
        directory.mkdir(parents=True)
        source = Source(uri="Snakefile", role="workflow", git=CLEAN)
        about = WorkflowRun(id=run_id, name="big", started=at, sources=(source,), host=HOST.id)
        driver, worker = directory / "driver.jsonl", directory / "worker.jsonl"
        with driver.open("wb") as verdicts, worker.open("wb") as records:
            verdicts.write(encode(RunStarted(run_id=run_id, at=at, run=about)))
            verdicts.write(encode(HostSeen(run_id=run_id, at=at, host=HOST)))
            records.write(encode(EnvironmentSeen(run_id=run_id, at=at, environment=PINNED)))
            for number in range(jobs):
                moment = began + dt.timedelta(milliseconds=10 * number)
                at = moment.isoformat(timespec="microseconds")
                job = _job(run_id, run, number, at)
                records.write(encode(JobEnded(run_id=run_id, at=at, job=job)))
                verdicts.write(encode(JobAccepted(run_id=run_id, at=at, job_id=job.id)))
            end = RunEnd(status="succeeded", finished=at)
            verdicts.write(encode(RunEnded(run_id=run_id, at=at, end=end)))


def _seconds(root: Path, *args: str) -> float:
    command = [sys.executable, "-m", "snakemake_repro.cli", *args, "-C", str(root)]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started


def main() -> None:
    """Run the benchmark."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as installations are
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="repro-bench-") as directory:
        root = Path(directory)
        write(root, options.runs, options.jobs)
        total = options.runs * options.jobs
        print(f"{total:,} jobs, {2 * FILES * total:,} files read or written")
        print(f"first command, builds the index  {_seconds(root, 'log'):7.2f} s")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"  its peak memory                {peak:7.0f} MiB")
        late = f"work/{options.jobs - 1}/0.dat"
        for args in (
            ("log",),
            ("report",),
            ("lineage", late, "--depth", "5"),
            ("lineage", late),
            ("lineage", "data/0.dat", "--downstream", "--depth", "2"),
        ):
            median = statistics.median(_seconds(root, *args) for _ in range(5))
            print(f"{'repro ' + ' '.join(args):<50} {median:7.2f} s")


if __name__ == "__main__":
    main()
