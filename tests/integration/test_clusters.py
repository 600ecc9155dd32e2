"""A running cluster fits, is made to fit, or is refused by name."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from clusters import python_without_us, ray_cluster
from runs import Workspace

from snakemake_repro.records import JobState, Tier

pytestmark = pytest.mark.integration


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The working directory of a run."""
    root = tmp_path / "work"
    root.mkdir()
    return root


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
