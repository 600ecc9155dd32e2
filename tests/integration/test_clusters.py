"""A running cluster fits, is made to fit, or is refused by name."""

from __future__ import annotations

import importlib.metadata
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from clusters import RunningCluster, another_node, python_without_us, ray_cluster, ray_head
from processes import command, descendants, kill, wait_for, with_environment
from runs import Workspace
from servers import free_port

from snakemake_repro.records import JobState, JobStatus, Tier

pytestmark = pytest.mark.integration


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The working directory of a run."""
    root = tmp_path / "work"
    root.mkdir()
    return root


def test_a_local_cluster_has_no_process_that_nobody_needs(root: Path) -> None:
    workspace = Workspace(root, tracking_uri=f"sqlite:///{root}/mlflow.db")
    workspace.write(
        "Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'sleep 2; touch {output}'\n"
    )
    process = workspace.start()
    seen: set[str] = set()
    while process.poll() is None:
        words = " ".join(map(command, descendants(process.pid))).split()
        seen |= {Path(word).name for word in words}
        time.sleep(0.1)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert {"gcs_server", "raylet"} <= seen
    assert not {"monitor.py", "log_monitor.py", "dashboard.py"} & seen


_SETTLING = """
import sys
import ray
from snakemake_repro.backends.ray_workers import settling

def loaded():
    return sorted({"pyarrow", "pydantic", "starlette"} & set(sys.modules))

ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
settling()()
print(loaded())
print(ray.get(ray.remote(settling(loaded)).options(num_cpus=0).remote()))
import pyarrow
print(ray.get(ray.remote(lambda: pyarrow.array([1]).to_pylist()).options(num_cpus=0).remote()))
"""


def test_what_is_never_sent_is_not_imported_but_can_be(cluster: RunningCluster) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SETTLING, cluster.address],
        env={**os.environ, **cluster.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "[]", "[1]"]


def test_workers_that_lack_this_plugin_get_it_from_the_driver(
    tmp_path: Path, root: Path, tracking_uri: str
) -> None:
    python = python_without_us(tmp_path / "venv")
    with ray_cluster(2, tmp_path / "cluster.log", python) as bare:
        workspace = Workspace(root, bare, tracking_uri)
        workspace.write(
            "Snakefile",
            """
            rule all:
                input: "shell.txt", "script.txt", "run.txt"
            rule shell:
                output: "shell.txt"
                shell: "echo shell > {output}"
            rule script:
                output: "script.txt"
                script: "script.py"
            rule run:
                output: "run.txt"
                run: open(output[0], "w").write(sys.executable)
            """,
        )
        workspace.write(
            "script.py",
            """
            from snakemake_repro import track
            with track(snakemake, seed=1) as run, open(snakemake.output[0], "w") as f:
                run.log_metric("auc", 0.5)
                f.write("script")
            """,
        )
        done = workspace.ok()
    assert "whose workers get this plugin from here" in done.output
    assert (root / "run.txt").read_text() == str(python)
    jobs = {job.record.spec.rule: job for job in workspace.history.jobs}
    assert {job.state for job in jobs.values()} == {JobState.ACCEPTED}
    tiers = {rule: job.record.tier for rule, job in jobs.items()}
    assert tiers == {"shell": Tier.DIRECT, "script": Tier.DIRECT, "run": Tier.FORK}
    assert [(m.name, m.value) for m in jobs["script"].record.metrics] == [("auc", 0.5)]


def test_a_cluster_with_another_version_is_refused_by_name(
    tmp_path: Path, root: Path, tracking_uri: str
) -> None:
    python = python_without_us(tmp_path / "venv", snakemake="9.1.0")
    with ray_cluster(1, tmp_path / "cluster.log", python) as other:
        workspace = Workspace(root, other, tracking_uri)
        workspace.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'touch {output}'\n")
        done = workspace.fails()
    here = importlib.metadata.version("snakemake")
    assert f"(snakemake: 9.1.0 there, {here} here)" in done.output
    assert not (root / "a.txt").exists()


SLOW = """
rule all:
    input: expand("out/{i}.txt", i=range(12))
rule slow:
    output: "out/{i}.txt"
    shell: "sleep 1; echo {wildcards.i} > {output}"
"""


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory for a head: its sockets have short names."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="repro-head-") as directory:
        yield Path(directory)


@pytest.mark.parametrize("fate", ["returns", "stays away"])
def test_a_joined_cluster_whose_head_dies(
    root: Path, tracking_uri: str, short: Path, fate: str
) -> None:
    port = free_port()
    environ = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    cluster = RunningCluster(address=f"127.0.0.1:{port}", environ=environ)
    workspace = Workspace(root, cluster, tracking_uri)
    workspace.write("Snakefile", SLOW)
    with ExitStack() as stack:
        first = stack.enter_context(ray_head(port, environ, short / "1"))
        wait_for(lambda: _raylets(first), what="the head")
        process = workspace.start()
        wait_for(lambda: len(list(root.glob("out/*.txt"))) > 1, timeout=90, what="two jobs")
        for pid in (first, *descendants(first)):
            with suppress(ProcessLookupError):
                kill(pid)
        if fate == "returns":
            stack.enter_context(ray_head(port, environ, short / "2"))
        output, _ = process.communicate(timeout=200)
    assert "Traceback" not in output
    assert not [pid for pid in with_environment("REPRO_JOB=") if str(root) in command(pid)]
    history = workspace.history
    assert history.end is not None
    if fate == "returns":
        assert process.returncode == 0, output
        lost = [job for job in history.jobs if job.record.status is JobStatus.LOST]
        assert lost
        assert {job.record.attempt for job in history.jobs} == {1}, "a loss costs no attempt"
        texts = [(root / f"out/{i}.txt").read_text() for i in range(12)]
        assert texts == [f"{i}\n" for i in range(12)]
    else:
        assert process.returncode == 1
        assert f"cannot reach a Ray cluster at 127.0.0.1:{port}" in output
        assert history.end.status == "failed"


def _raylets(head: int) -> list[int]:
    return descendants(head, "raylet/raylet")


def test_a_job_whose_only_node_is_gone_waits_for_another_and_says_so(
    root: Path, tracking_uri: str
) -> None:
    with ray_cluster(1) as cluster, ExitStack() as stack:
        workspace = Workspace(root, cluster, tracking_uri)
        workspace.write(
            "Snakefile",
            """
            rule telescope:
                output: "seen.txt"
                resources: ray_telescope=1
                shell: "test -e started || {{ touch started; sleep 600; }}; echo seen > {output}"
            """,
        )
        holder = stack.enter_context(another_node(cluster, resources={"telescope": 1}))
        process = workspace.start()
        assert process.stdout is not None
        wait_for((root / "started").exists, timeout=90, what="the job")
        for pid in (holder, *descendants(holder)):
            with suppress(ProcessLookupError):
                kill(pid)
        lines = iter(process.stdout.readline, "")
        said = next(line for line in lines if "any more" in line)
        stack.enter_context(another_node(cluster, resources={"telescope": 1}))
        output, _ = process.communicate(timeout=120)
    assert said.strip() == (
        "No node of the cluster has what telescope asks for any more (1 CPU(s), 1 of telescope): "
        "such jobs wait until one joins."
    )
    assert process.returncode == 0, output
    assert (root / "seen.txt").read_text() == "seen\n"
    statuses = [job.record.status for job in workspace.history.jobs]
    assert statuses == [JobStatus.LOST, JobStatus.SUCCEEDED]
