"""Hermetic runs in pinned environments, of root and of everybody else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import otherusers
import pytest
from runs import Workspace

from snakemake_repro.backends.environments.lockfile import lock_path
from snakemake_repro.operations.lock import lock
from snakemake_repro.records import EnvironmentKind, JobState

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap"),
]

YAML = """
dependencies:
  - python >=3.11,<3.14
  - pip
  - pip:
      - six
"""
SNAKEFILE = """
rule all:
    input: "out/shell.txt", "out/script.txt", "out/host.txt", "out/host-script.txt"
rule shell:
    input: "in.txt"
    output: "out/shell.txt"
    conda: "envs/x.yaml"
    shell: "python -c 'import six; print(six.__name__, open(\\"{input}\\").read())' > {output}"
rule script:
    input: "in.txt"
    output: "out/script.txt"
    conda: "envs/x.yaml"
    script: "scripts/work.py"
rule host:
    input: "in.txt"
    output: "out/host.txt"
    benchmark: "bench/host.tsv"
    shadow: "minimal"
    shell: "touch left; id -u > {output}; test ! -w {input}; sleep 0.7"
rule host_script:
    input: "in.txt"
    output: "out/host-script.txt"
    script: "scripts/host.py"
"""
WORK = """
import sys, six, helper
try:
    import numpy
except ImportError:
    numpy = None
with open(snakemake.output[0], "w") as f:
    f.write(f"{six.__name__} {numpy} {snakemake.rule} {helper.VALUE}")
"""


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("envs") / "x.yaml"
    path.write_text(YAML)
    lock([path])
    return path


def _fill(workspace: Workspace, env_file: Path) -> None:
    workspace.write("Snakefile", SNAKEFILE)
    workspace.write("in.txt", "in")
    workspace.write("envs/x.yaml", env_file.read_text())
    workspace.write("envs/x.requirements.lock", lock_path(env_file).read_text())
    workspace.write("scripts/work.py", WORK)
    workspace.write("scripts/helper.py", "VALUE = 1")
    workspace.write("scripts/host.py", "open(snakemake.output[0], 'w').write(snakemake.rule)")


def _check(workspace: Workspace, uid: int) -> None:
    texts = {path.name: path.read_text() for path in workspace.root.glob("out/*.txt")}
    assert texts == {
        "shell.txt": "six in\n",
        "script.txt": "six None script 1",
        "host.txt": "1000\n",
        "host-script.txt": "host_script",
    }
    made = [*workspace.root.glob("out/*"), *workspace.root.glob("bench/*")]
    assert {path.stat().st_uid for path in made} == {uid}
    header, row = (workspace.root / "bench/host.tsv").read_text().splitlines()
    measured = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert 0 < float(measured["max_pss"]) < 8, "of the job's own processes"
    jobs = [job for job in workspace.history.jobs if job.record.spec.rule != "all"]
    assert all(job.state is JobState.ACCEPTED for job in jobs)
    assert all(job.record.isolation is not None for job in jobs)
    assert all(job.record.violations == () for job in jobs)
    kinds = {environment.kind for environment in workspace.history.environments.values()}
    assert kinds == {EnvironmentKind.HOST, EnvironmentKind.PYPI}


def test_root_runs_hermetically_in_a_locked_environment(
    workspace: Workspace, env_file: Path
) -> None:
    """The store lies in the working directory, so that a zone has it inside."""
    _fill(workspace, env_file)
    workspace.ok("--ray-hermetic", "enforce", "--ray-environment-store", "store")
    _check(workspace, os.getuid())


@pytest.mark.skipif(not otherusers.possible(), reason="needs root and mount namespaces")
def test_everybody_else_does_so_as_well(env_file: Path) -> None:
    with otherusers.home() as home:
        workspace = otherusers.OthersWorkspace(home)
        _fill(workspace, env_file)
        workspace.ok("--ray-hermetic", "enforce")
        _check(workspace, otherusers.UID)
