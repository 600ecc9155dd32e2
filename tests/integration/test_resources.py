"""What a rule asks for is what Ray reserves, the node gives, and the clock allows.

The cluster declares two GPUs of a model, a custom resource and a label. Ray only counts them: there
need not be any GPU, and a job sees which ones are its own by their ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import RunningCluster, ray_cluster
from processes import command, with_environment
from runs import Workspace

from snakemake_repro.records import JobState, JobStatus

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster whose one node declares more than CPUs and memory."""
    log = tmp_path_factory.mktemp("rich") / "cluster.log"
    resources = {"licence": 1, "accelerator_type:A100": 1}
    labels = {"zone": "a"}
    with ray_cluster(4, log, num_gpus=2, resources=resources, labels=labels) as running:
        yield running


@pytest.fixture
def workspace(tmp_path: Path, rich: RunningCluster, tracking_uri: str) -> Workspace:
    """An empty working directory whose runs join that cluster."""
    root = tmp_path / "work"
    root.mkdir()
    return Workspace(root, rich, tracking_uri)


def test_jobs_get_the_gpus_that_ray_reserves_for_them(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        SHOWN = "echo ${{CUDA_VISIBLE_DEVICES-none}} > {output}"
        rule all:
            input: "one.txt", "two.txt", "half.txt", "run.txt", "none.txt"
        rule one:
            output: "one.txt"
            resources: gpu=1
            shell: SHOWN
        rule two:
            output: "two.txt"
            resources: gpu=2, gpu_model="a100"
            shell: SHOWN
        rule half:
            output: "half.txt"
            resources: nvidia_gpu="0.5", ray_licence=1, ray_node="zone=a"
            shell: SHOWN
        rule run:
            output: "run.txt"
            resources: gpu=1
            run: open(output[0], "w").write(os.environ["CUDA_VISIBLE_DEVICES"] + "\\n")
        rule none:
            input: "one.txt", "two.txt", "half.txt"
            output: "none.txt"
            shell: SHOWN
        """,
    )
    workspace.ok()

    def shown(rule: str) -> str:
        return (workspace.root / f"{rule}.txt").read_text().strip()

    assert {shown("one"), shown("half"), shown("run")} <= {"0", "1"}
    assert shown("two") == "0,1"
    assert shown("none") == "none"


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("gpu=3", "rule a asks for 3 GPU(s), the largest node of the cluster has 2 GPU(s)"),
        ("gpu=1, gpu_model='H100'", "asks for GPUs of model H100"),
        ("ray_licence=2", "asks for 2 of licence"),
        ("ray_node='zone=b'", "asks for a node labelled zone=b, the nodes of the cluster are"),
    ],
    ids=["gpu", "gpu_model", "ray_licence", "ray_node"],
)
def test_what_no_node_has_is_an_error_and_not_an_endless_wait(
    workspace: Workspace, resources: str, message: str
) -> None:
    workspace.write(
        "Snakefile",
        f"rule a:\n    output: 'a.txt'\n    resources: {resources}\n    shell: 'touch {{output}}'\n",
    )
    done = workspace.fails()
    assert message in done.output
    assert "Hint:" in done.output


def test_what_no_node_has_is_an_error_before_the_jobs_that_lead_there(
    workspace: Workspace,
) -> None:
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "b.txt", "c.txt"
        rule a:
            output: "a.txt"
            shell: "touch {output}"
        rule b:
            input: "a.txt"
            output: "b.txt"
            resources: mem="900TB"
            shell: "touch {output}"
        rule c:
            input: "a.txt"
            output: "c.txt"
            resources: mem_mb=lambda wildcards, attempt: 10 * attempt
            shell: "touch {output}"
        """,
    )
    done = workspace.fails()
    assert "rule b asks for 900000000 MB of memory" in done.output
    assert not (workspace.root / "a.txt").exists()
    # a limit of the user's lowers what the rule asks for, and then it can be had
    workspace.ok("--resources", "mem_mb=100")


def test_disk_is_a_matter_of_the_node(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule a:
            output: "a.txt"
            resources: disk_mb=1_000_000_000_000
            shell: "touch {output}"
        rule b:
            output: "b.txt"
            resources: disk_mb=1
            shell: "touch {output}"
        """,
    )
    done = workspace.fails("a.txt")
    assert "it asks for 1000000000000 MB of disk" in done.output
    workspace.ok("b.txt")


def test_a_job_that_runs_for_longer_than_its_runtime_is_ended_and_may_be_tried_again(
    workspace: Workspace, small: str
) -> None:
    """It takes a minute: Snakemake knows no shorter runtime."""
    workspace.environ["REPRO_TEST_MARK"] = str(workspace.root)
    workspace.write(
        "Snakefile",
        f"""
        envvars: "REPRO_TEST_MARK"
        rule all:
            input: "shell.txt", "run.txt", "container.txt", "again.txt"
        rule shell:
            output: "shell.txt"
            resources: runtime=1
            shell: "touch {{output}}; trap '' TERM; (setsid sleep 1000 &); sleep 1000"
        rule run:
            output: "run.txt"
            resources: runtime=1
            run: shell("touch {{output}}; sleep 1000")
        rule container:
            output: "container.txt"
            container: "docker://{small}"
            resources: runtime=1
            shell: "touch {{output}}; sleep 1000"
        rule again:
            output: "again.txt"
            retries: 1
            resources: runtime=1, first=lambda wildcards, attempt: attempt == 1
            shell: "touch {{output}}; if [ {{resources.first}} = True ]; then sleep 1000; fi"
        """,
    )
    done = workspace.fails("--keep-going")
    assert done.output.count("it ran for longer than its runtime of 1 minutes") == 4
    marked = with_environment(f"REPRO_TEST_MARK={workspace.root}")
    assert [pid for pid in marked if "sleep" in command(pid)] == []
    states = {
        (job.record.spec.rule, job.record.attempt): job.state for job in workspace.history.jobs
    }
    rejected = {(rule, 1): JobState.REJECTED for rule in ("shell", "run", "container", "again")}
    assert states == {**rejected, ("again", 2): JobState.ACCEPTED}
    assert workspace.job("shell").record.status is JobStatus.FAILED
