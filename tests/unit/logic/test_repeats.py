"""What a repeat needs is read from the record; what would mislead it is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from recordings import CLEAN, PINNED, Recording

from snakemake_repro.backends.index import open_index
from snakemake_repro.errors import UsageError
from snakemake_repro.logic.repeats import (
    arguments_of,
    leads_out,
    names_directory,
    needed,
    source_of,
    untargeted,
)
from snakemake_repro.operations.compare import compared
from snakemake_repro.records import Digest, FileRecord, GitState, Source, WorkflowRun

RUN = WorkflowRun(
    id="0123456789abcdef",
    name="n",
    started="0",
    command=("/opt/snakemake", "--executor", "ray", "-s", "x/Snakefile", "--config", "a=1", "out"),
    snakefile="workflow/Snakefile",
    targets=("out",),
    sources=(Source(uri="workflow/Snakefile", role="workflow", git=CLEAN),),
)


def _run(**change: object) -> WorkflowRun:
    return dataclasses.replace(RUN, **change)  # type: ignore[arg-type]


def test_arguments_name_the_snakefile_as_it_lies_in_the_directory() -> None:
    arguments = arguments_of(RUN)
    assert arguments == (
        "--executor", "ray", "--config", "a=1", "out", "--snakefile", "workflow/Snakefile",
    )  # fmt: skip
    assert "out" not in untargeted(arguments, RUN.targets)
    assert arguments_of(_run(command=("snakemake", "--snakefile=x"))) == arguments[-2:]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"snakefile": "/elsewhere/Snakefile"}, "outside of its working directory"),
        ({"snakefile": None}, "outside of its working directory"),
        ({"command": ("snakemake", "-d", "there")}, "-d named its directory"),
        ({"command": ("snakemake", "--directory=there")}, "--directory named its directory"),
        ({"command": ("snakemake", "x=<redacted TOKEN>")}, "a secret was taken out"),
    ],
)
def test_a_command_that_cannot_be_given_again_is_refused(
    change: dict[str, object], why: str
) -> None:
    with pytest.raises(UsageError, match="run 01234567 cannot be repeated") as caught:
        arguments_of(_run(**change))
    assert why in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("git", "why"),
    [
        (None, "not committed"),
        (GitState(commit=None), "not committed"),
        (GitState(commit="c", dirty=True), "were not kept"),
        (GitState(commit="c", dirty=True, diff="+<redacted TOKEN>"), "a secret was taken out"),
        (GitState(commit="c", submodules={"lib": "d"}), "has submodules"),
    ],
)
def test_code_that_cannot_be_had_again_is_refused(git: GitState | None, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        source_of(_run(sources=(Source(uri="Snakefile", role="workflow", git=git),)))
    assert source_of(RUN) == CLEAN


def test_a_run_needs_what_no_job_made_and_its_locks(tmp_path: Path) -> None:
    lock = FileRecord(path="envs/x.requirements.lock", digest=Digest("a" * 64))
    (tmp_path / "in").write_text("in")
    run = Recording(tmp_path)
    environment = dataclasses.replace(PINNED, lock=lock)
    run.job("a", reads=["in"], writes={"mid": "m"}, environment=environment)
    run.job("b", reads=["mid", "in"], writes={"out": "o"}, environment=environment)
    run.end()
    found = compared(open_index(tmp_path), run.id)
    assert [file.path for file in needed(found.history, found.made)] == ["in", lock.path]
    assert leads_out(found.made) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("open('/data/lab/out.txt')", True),
        ('{"out": "/data/lab"}', True),
        ("--config out=/data/lab/x", True),
        ("/data/labels/x", False),
        ("/old/data/lab", False),
        ("/data/lab.old/x", False),
    ],
)
def test_a_directory_is_told_from_others_that_begin_so(text: str, *, names: bool) -> None:
    assert names_directory(text, "/data/lab") is names


def test_an_output_elsewhere_leads_out(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    run = Recording(root)
    run.job("a", writes={str(tmp_path / "out"): "o"})
    run.end()
    assert leads_out(compared(open_index(root), run.id).made) == str(tmp_path / "out")
