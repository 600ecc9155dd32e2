"""A hermetic job against the same job in the open, and the staging of thousands of inputs.

    python tests/benchmarks/bench_hermetic.py [--repeats 60] [--inputs 5000]

Runs the two in turn, in one process and without Snakemake or Ray, as a worker does: what is timed
is ``execute``, from the task to its result. Tracing is off, and timed apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from snakemake_repro.backends.staging import staged
from snakemake_repro.logic.sandbox import plan
from snakemake_repro.operations.execute import execute
from snakemake_repro.records import (
    EnvironmentKind,
    EnvironmentSpec,
    FileKind,
    FileRecord,
    IsolationMode,
    JobSpec,
    Tier,
)
from snakemake_repro.records.tasks import Command, IsolationRequest, Member, Task

_RUN = uuid.uuid4().hex


def _task(workdir: Path, inputs: list[str], isolation: IsolationRequest | None) -> Task:
    files = {
        name: tuple(FileRecord(path=path, kind=FileKind.UNOBSERVED) for path in paths)
        for name, paths in (("inputs", inputs), ("outputs", ["out/x.txt"]))
    }
    spec = JobSpec(rule="bench", kind="shell", inputs=files["inputs"], outputs=files["outputs"])
    return Task(
        id=uuid.uuid4().hex,
        run_id=_RUN,
        workdir=str(workdir),
        log=".snakemake/ray/bench.log",
        tier=Tier.DIRECT,
        command=Command(
            kind="shell",
            text="set -euo pipefail; echo > out/x.txt",
            executable="/bin/bash",
            tmpdir_wanted=True,
        ),
        members=(Member(id=uuid.uuid4().hex, jobid=1, spec=spec),),
        environment=EnvironmentSpec(kind=EnvironmentKind.HOST, name="host"),
        isolation=isolation,
    )


def _run(task: Task) -> float:
    payload = json.dumps(task.to_dict()).encode()
    started = time.perf_counter()
    result = json.loads(execute(payload))
    took = time.perf_counter() - started
    assert result["succeeded"], result
    return took


def _stage(workdir: Path, inputs: list[str]) -> float:
    started = time.perf_counter()
    sandbox = plan(
        rule="bench",
        workdir=str(workdir),
        inputs=[str(workdir / path) for path in inputs],
        outputs=[str(workdir / "out/x.txt")],
        logs=[],
        system=["/usr"],
        environment=[],
        temporary=["/tmp"],
    )
    with (
        tempfile.TemporaryDirectory() as scratch,
        staged(sandbox, workdir / "stage", Path(scratch), "/run/inputs"),
    ):
        pass
    return time.perf_counter() - started


def _show(what: str, seconds: list[float]) -> None:
    low, median, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"{what:44} {1000 * median:8.1f} ms ({1000 * low:.1f}-{1000 * high:.1f})")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--inputs", type=int, default=5000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="repro-bench-") as directory:
        workdir = Path(directory)
        (workdir / "out").mkdir()
        inputs = [f"in/{index % 50}/{index}.txt" for index in range(options.inputs)]
        for path in inputs:
            (workdir / path).parent.mkdir(parents=True, exist_ok=True)
            (workdir / path).write_text(path)
        closed = IsolationRequest(mode=IsolationMode.ENFORCE, trace=False)
        variants: dict[str, Callable[[], float]] = {
            "in the open": lambda: _run(_task(workdir, inputs[:3], None)),
            "hermetic": lambda: _run(_task(workdir, inputs[:3], closed)),
            "hermetic, traced": lambda: _run(
                _task(workdir, inputs[:3], IsolationRequest(mode=IsolationMode.ENFORCE))
            ),
        }
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for run in variants.values():
            run()  # starts the agent, looks at the node
        for _ in range(options.repeats):
            for name, run in variants.items():
                seconds[name].append(run())
        for name, values in seconds.items():
            _show(f"a job, {name}", values)
        pairs = zip(seconds["hermetic"], seconds["in the open"], strict=True)
        _show("what hermetic costs a job", [closed - opened for closed, opened in pairs])
        _show(f"{len(inputs)} inputs staged", [_stage(workdir, inputs) for _ in range(5)])
        many = [_run(_task(workdir, inputs, None)) for _ in range(3)]
        _show(f"a job with {len(inputs)} inputs, in the open", many)
        many = [_run(_task(workdir, inputs, closed)) for _ in range(3)]
        _show(f"a job with {len(inputs)} inputs, hermetic", many)


if __name__ == "__main__":
    main()
