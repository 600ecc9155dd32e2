"""What can be told of a Snakemake process from its command line and its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakemake_repro.backends.parents import Process
from snakemake_repro.backends.snakemake_process import (
    declared_variables,
    describe_process,
    find_executor,
    find_snakefile,
)
from snakemake_repro.backends.snakemake_run import config_digest
from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.records import WorkflowRun

_PYTHON = ("/env/bin/python", "/env/bin/snakemake")


@pytest.mark.parametrize(
    ("options", "executor"),
    [
        ("--cores 2", "local"),
        ("-c2", "local"),
        ("-c 2 --executor slurm", "slurm"),
        ("--executor=slurm --jobs 3", "slurm"),
        ("-e kubernetes -j 3", "kubernetes"),
        ("--jobs 3", "unknown"),
        ("--cores 2 --profile cluster", "unknown"),
    ],
)
def test_the_executor_is_the_one_on_the_command_line(options: str, executor: str) -> None:
    assert find_executor((*_PYTHON, *options.split())) == executor


def test_the_snakefile_is_the_named_one_or_the_usual_one(tmp_path: Path) -> None:
    assert find_snakefile(_PYTHON, tmp_path) is None
    usual, other = tmp_path / "workflow" / "Snakefile", tmp_path / "other.smk"
    usual.parent.mkdir()
    usual.write_text("")
    other.write_text("")
    assert find_snakefile(_PYTHON, tmp_path) == usual
    for option in (["-s", "other.smk"], ["--snakefile", "other.smk"], ["--snakefile=other.smk"]):
        assert find_snakefile((*_PYTHON, *option), tmp_path) == other
    assert find_snakefile((*_PYTHON, "-s", "gone.smk"), tmp_path) is None


def test_declared_variables_are_read_from_the_text(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(
        "envvars:\n"
        '    "ONE",  # the first, "not this"\n'
        "    'TWO'\n"
        "rule all:\n"
        '    input: "three.txt"\n'
        'envvars: "FOUR"\n'
        '# envvars: "FIVE"\n'
    )
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "more.smk").write_text('envvars:\n    "SIX"\n')
    command = (*_PYTHON, "--envvars", "SEVEN", "EIGHT", "--cores", "1")
    found = declared_variables(command, tmp_path)
    assert {"ONE", "TWO", "FOUR", "SIX", "SEVEN", "EIGHT"} <= found
    assert not {"three.txt", "FIVE", "1"} & found


def _describe(workdir: Path, process: Process | None) -> WorkflowRun:
    return describe_process(
        process,
        run_id="0" * 32,
        started="2026-01-01T00:00:00.000000+00:00",
        workdir=workdir,
        host="host",
        redact=Redactor({"PASSWORD": "hunter2"}),
        config={"password": "hunter2", "samples": ["a", "b"]},
        script=workdir / "fit.py",
        experiment="study",
        tracking_uri="http://me:pw@localhost:5000",
    )


def test_a_run_is_described_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text("rule all:\n")
    (tmp_path / "fit.py").write_text("")
    command = (*_PYTHON, "--cores", "2", "--config", "password=hunter2")
    run = _describe(tmp_path, Process(pid=1, start=1, command=command))
    assert run.command[-1] == "password=<redacted PASSWORD>"
    assert run.config == {"password": "<redacted PASSWORD>", "samples": ["a", "b"]}
    assert run.config_digest == config_digest({"password": "hunter2", "samples": ["a", "b"]})
    assert run.tracking_uri == "http://localhost:5000"
    assert (run.snakefile, run.executor, run.name) == ("Snakefile", "local", tmp_path.name)
    assert (run.sources[0].uri, run.sources[0].git) == ("Snakefile", None)
    assert run.sources[0].digest is not None
    assert run.completeness
    assert "hunter2" not in str(run.to_dict())


def test_a_script_outside_of_snakemake_is_its_own_source(tmp_path: Path) -> None:
    (tmp_path / "fit.py").write_text("")
    run = _describe(tmp_path, None)
    assert (run.snakefile, run.executor, run.command) == (None, None, ())
    assert run.sources[0].uri == "fit.py"
    assert "outside of Snakemake" in run.completeness[0]
