"""The machine is described as this process may use it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from snakemake_repro.backends.host import describe_host, idle_cores, parse_gpus
from snakemake_repro.records import Gpu, Host

_TABLE = """\
NVIDIA H100 80GB HBM3, 81559, 550.54.15, GPU-5b6a1a0a-94f4-11ee-b9d1-0242ac120002
NVIDIA GH200, [N/A], 550.54.15, GPU-7c1a1a0a-94f4-11ee-b9d1-0242ac120002
a line of another shape
"""


def _ask(*prefix: str, **environ: str) -> Host:
    """Describe the host from a fresh process: the answer is kept for a process's life."""
    code = (
        "import json; from snakemake_repro.backends.host import describe_host; "
        "print(json.dumps(describe_host().to_dict()))"
    )
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return Host.from_dict(json.loads(done.stdout))


def test_it_is_asked_once_and_stays_the_same() -> None:
    host = describe_host()
    assert describe_host() is host
    assert _ask() == host


def test_it_says_what_is_there() -> None:
    host = describe_host()
    assert host.name == platform.node()
    assert host.machine == platform.machine()
    assert platform.release() in host.kernel
    assert len(host.id) == 16
    assert host.memory_mb is not None
    assert 0 < host.memory_mb <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    assert host.libraries["libc"]


def test_only_processors_that_it_may_use_count() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert describe_host().cpus == len(allowed)
    if shutil.which("taskset"):
        assert _ask("taskset", "-c", str(allowed[0])).cpus == 1


def test_gpus_are_read_as_their_driver_lists_them() -> None:
    assert parse_gpus(_TABLE) == (
        Gpu(
            model="NVIDIA H100 80GB HBM3",
            memory_mb=81559,
            driver="550.54.15",
            uuid="GPU-5b6a1a0a-94f4-11ee-b9d1-0242ac120002",
        ),
        Gpu(
            model="NVIDIA GH200",
            driver="550.54.15",
            uuid="GPU-7c1a1a0a-94f4-11ee-b9d1-0242ac120002",
        ),
    )


@pytest.mark.parametrize(
    "script", ["echo 'NVIDIA-SMI has failed'; exit 9", "echo 'No devices were found'"]
)
def test_a_driver_that_fails_means_no_gpus(tmp_path: Path, script: str) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    host = _ask(PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert host.gpus == ()
    assert "cuda" not in host.libraries


@pytest.mark.gpu
def test_a_real_gpu_is_described() -> None:
    host = describe_host()
    assert host.gpus
    assert all(gpu.memory_mb and gpu.uuid and gpu.driver for gpu in host.gpus)
    assert host.libraries["cuda"]


def test_no_more_cores_are_idle_than_there_are_and_a_busy_one_is_not() -> None:
    cores = os.cpu_count() or 1
    assert 0 <= idle_cores(0.2) <= cores + 0.2
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        assert idle_cores(1.0) < 1
    finally:
        for process in busy:
            process.kill()
            process.wait()
