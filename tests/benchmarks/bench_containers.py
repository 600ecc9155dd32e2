"""What a job in a container costs beyond the bare engine's cycle.

    python tests/benchmarks/bench_containers.py [JOBS]

One container after the other on a warm engine with an image of 4 MB, run round-robin so that a
busy machine slows all variants alike: what we run with, and the bare create, start, wait and remove
of the same image, on the network that our jobs see and on none. A job without network joins that of
an idle container, which the first one makes.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from containers import make_image, registry

from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.containers import owners
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.operations.execute import execute
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec, JobSpec, Tier
from snakemake_repro.records.tasks import Command, ContainerRequest, Member, Task

LIMIT_MS = 25
LIMIT_SHARED = 0.65


def bare(engine: Engine, image: str, network: str) -> None:
    """Do what `docker run --rm` does, through the same connection."""
    container = engine.client.containers.create(image, ["true"], network_mode=network)
    container.start()
    container.wait()
    container.remove()


def job(
    image: str, workdir: Path, number: int, *, record: bool = True, network: bool = True
) -> None:
    """Run one task as a Ray worker does."""
    spec = JobSpec(rule="bench", kind="shell")
    task = Task(
        id=f"{number}",
        run_id="bench",
        workdir=str(workdir),
        log=f"log/{number}.log",
        tier=Tier.DIRECT,
        command=Command(kind="shell", text="true", executable="sh"),
        members=(Member(id=f"{number}", jobid=number, spec=spec),),
        environment=EnvironmentSpec(
            kind=EnvironmentKind.CONTAINER, name=f"docker://{image}", image=image
        ),
        container=ContainerRequest(network=network),
        record=record,
        environment_store=str(workdir / "store"),
    )
    result = json.loads(execute(json.dumps(task.to_dict()).encode()))
    assert result["succeeded"], result


def main() -> None:
    """Measure and print."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    engine = Engine()
    print(f"{engine.facts.name}, {engine.facts.cpus} CPUs, {SystemClock().now()}, {jobs} of each")
    with tempfile.TemporaryDirectory() as name, registry(Path(name, "registry")) as running:
        workdir = Path(name, "work")
        workdir.mkdir()
        digest = running.push(make_image("busybox"), "bench/small", "1")
        image = f"{running.host}/bench/small@{digest}"
        engine.pull(image)
        variants: dict[str, Callable[[int], Any]] = {
            "bare cycle, network none": lambda _: bare(engine, image, "none"),
            "bare cycle, network host": lambda _: bare(engine, image, "host"),
            "a job, not recorded": lambda i: job(image, workdir, i, record=False),
            "a job, recorded": lambda i: job(image, workdir, i),
            "a job, recorded, no network": lambda i: job(image, workdir, i, network=False),
        }
        taken: dict[str, list[float]] = {variant: [] for variant in variants}
        for number in range(jobs + 2):
            for variant, act in variants.items():
                started = time.perf_counter()
                act(number)
                if number >= 2:  # connections and imports
                    taken[variant].append((time.perf_counter() - started) * 1e3)
        owners.sweep(engine)  # the idle one is this process's own
        engine.client.images.remove(image, force=True)  # the last container may be going
    medians = {variant: statistics.median(values) for variant, values in taken.items()}
    for variant, median in medians.items():
        print(f"  {variant:28} {median:7.1f} ms  (fastest {min(taken[variant]):.1f})")
    ratio = medians["a job, recorded, no network"] / medians["bare cycle, network none"]
    print(
        f"no network, through a shared namespace, against the bare cycle, network none: {ratio:.2f} "
        f"times (limit {LIMIT_SHARED})"
    )
    for network in ("none", "host"):
        over = medians["a job, recorded"] - medians[f"bare cycle, network {network}"]
        print(
            f"recorded job beyond the bare cycle, network {network}: {over:+.1f} ms (limit {LIMIT_MS})"
        )


if __name__ == "__main__":
    main()
