"""What a rule asks for is what Ray reserves, the node gives, and the clock allows.

The cluster declares two GPUs of a model, a custom resource and a label. Ray only counts them: there
need not be any GPU, and a job sees which ones are its own by their ids.
"""

from __future__ import annotations

import re
import shutil
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
    declared = {"num_gpus": 2, "resources": resources, "labels": labels, "_memory": 10**10}
    with ray_cluster(4, log, **declared) as running:
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


@pytest.mark.parametrize(
    ("executing", "resource", "message"),
    [
        ("shell", "gpu", "rule late asks for 900 GPU(s), the largest node of the cluster has 2"),
        ("run", "ray_licence", "rule late asks for 900 of licence"),
        ("shell", "mem_mb", "rule late asks for 900000 MB of memory, the largest node"),
    ],
)
def test_what_no_node_has_is_an_error_when_a_checkpoint_shows_it(
    workspace: Workspace, executing: str, resource: str, message: str
) -> None:
    factor = 1000 if resource == "mem_mb" else 1
    asked = f"{resource}=lambda w, input: {factor} * int(open(input[0]).read())"
    body = {"shell": "shell: 'touch {output}'", "run": "run: shell('touch {output}')"}[executing]
    workspace.environ["REPRO_TEST_MARK"] = str(workspace.root)
    workspace.write(
        "Snakefile",
        f"""
        envvars: "REPRO_TEST_MARK"
        def late(wildcards):
            return expand("{{n}}.late", n=open(checkpoints.count.get().output[0]).read().strip())
        rule all:
            input: late, "slow.txt"
        rule slow:
            output: "slow.txt"
            priority: 1
            shell: "touch started; sleep 1000"
        checkpoint count:
            output: "count.txt"
            shell: "while [ ! -e started ]; do sleep 0.1; done; echo 900 > {{output}}"
        rule late:
            input: "count.txt"
            output: "{{n}}.late"
            resources: {asked}
            {body}
        """,
    )
    done = workspace.fails()
    assert message in done.output
    assert "Hint:" in done.output
    assert not (workspace.root / "900.late").exists()
    marked = with_environment(f"REPRO_TEST_MARK={workspace.root}")
    assert [pid for pid in marked if "sleep" in command(pid)] == []
    states = {job.record.spec.rule: job.state for job in workspace.history.jobs}
    assert states == {"count": JobState.ACCEPTED, "slow": JobState.INTERRUPTED}


OUTPUTS = {
    "group": "'first.txt'",
    "pipe": "pipe('first.txt')",
    "service": "service('first.txt')",
}


@pytest.mark.parametrize(
    ("together", "resources", "message"),
    [
        ("group", "gpu=2", "asks for 4 GPU(s), the largest node of the cluster has 2 GPU(s)"),
        ("group", "ray_licence=1", "asks for 2 of licence"),
        ("group", "mem_mb=6000", "asks for 12000 MB of memory, the largest node of the cluster"),
        ("group", "gpu=lambda wildcards: 2", "asks for 4 GPU(s)"),
        ("pipe", "gpu=2", "asks for 4 GPU(s)"),
        ("service", "mem_mb=lambda wildcards, attempt: 6000 * attempt", "asks for 12000 MB"),
    ],
)
def test_what_no_node_has_for_a_whole_group_is_an_error(
    workspace: Workspace, together: str, resources: str, message: str
) -> None:
    grouped = together == "group"
    group = "group: 'g'" if grouped else ""
    workspace.write(
        "Snakefile",
        f"""
        rule all:
            input: "second.txt", {"'first.txt'" if grouped else "[]"}
        rule first:
            output: {OUTPUTS[together]}
            {group}
            resources: {resources}
            shell: "touch {{output}}"
        rule second:
            input: {"[]" if grouped else "'first.txt'"}
            output: "second.txt"
            {group}
            resources: {resources}
            shell: "touch {{output}}"
        """,
    )
    done = workspace.fails(*(("--group-components", "g=2") if grouped else ()))
    assert message in done.output
    assert re.search("the group of (first, second|second, first) asks for", done.output)
    assert "Hint:" in done.output


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


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_hermetic_jobs_get_the_gpus_that_ray_reserves_for_them(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        SHOWN = "echo ${{CUDA_VISIBLE_DEVICES-none}} > {output}; test -e /sys && echo seen >> {output} || true"
        rule all:
            input: "one.txt", "two.txt", "none.txt"
        rule one:
            output: "one.txt"
            resources: gpu=1
            shell: SHOWN
        rule two:
            output: "two.txt"
            resources: gpu=2
            shell: SHOWN
        rule none:
            output: "none.txt"
            shell: SHOWN
        """,
    )
    workspace.ok("--ray-hermetic", "enforce")
    shown = {name: (workspace.root / f"{name}.txt").read_text() for name in ("one", "two", "none")}
    assert shown["one"].split()[0] in ("0", "1")
    assert shown["two"].split()[0] == "0,1"
    assert shown["none"] == "none\n"
    isolations = {name: workspace.job(name).record.isolation for name in shown}
    opened = {name: "GPUs" in found.open for name, found in isolations.items() if found}
    assert opened == {"one": True, "two": True, "none": False}


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="has a GPU")
def test_the_engine_is_asked_for_the_gpus_of_a_hermetic_job(
    workspace: Workspace, small: str
) -> None:
    workspace.write(
        "Snakefile",
        f"""
        rule one:
            output: "one.txt"
            container: "docker://{small}"
            resources: gpu=1
            shell: "touch {{output}}"
        """,
    )
    done = workspace.fails("--ray-hermetic", "enforce")
    assert "could not select device driver" in done.output


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_a_hermetic_job_that_runs_for_too_long_is_ended_with_all_that_it_started(
    workspace: Workspace, small: str
) -> None:
    """It takes a minute: Snakemake knows no shorter runtime."""
    workspace.environ["REPRO_TEST_MARK"] = str(workspace.root)
    sleep = "trap '' TERM; (trap '' TERM; sleep 1000) & (sleep 1000 &); sleep 1000"
    workspace.write(
        "Snakefile",
        f"""
        envvars: "REPRO_TEST_MARK"
        rule all:
            input: "shell.txt", "measured.txt", "container.txt"
        rule shell:
            output: "shell.txt"
            log: "logs/shell.log"
            resources: runtime=1
            shell: "touch {{output}}; echo said > {{log}}; {sleep}"
        rule measured:
            output: "measured.txt"
            benchmark: "measured.tsv"
            shadow: "minimal"
            resources: runtime=1
            shell: "touch {{output}}; (setsid sleep 1000 &); {sleep}"
        rule container:
            output: "container.txt"
            log: "logs/container.log"
            container: "docker://{small}"
            resources: runtime=1
            shell: "touch {{output}}; echo said > {{log}}; {sleep}"
        """,
    )
    done = workspace.fails("--ray-hermetic", "enforce", "--keep-going")
    assert done.output.count("it ran for longer than its runtime of 1 minutes") == 3
    marked = with_environment(f"REPRO_TEST_MARK={workspace.root}")
    assert [pid for pid in marked if "sleep" in command(pid)] == []
    for name in ("shell", "measured", "container"):
        record = workspace.job(name).record
        assert record.status is JobStatus.FAILED
        assert record.isolation is not None
        assert not (workspace.root / f"{name}.txt").exists()
    assert not (workspace.root / "measured.tsv").exists()
    for name in ("shell", "container"):
        assert (workspace.root / f"logs/{name}.log").read_text() == "said\n"
    assert not (workspace.root / ".snakemake/ray/stage").exists()
