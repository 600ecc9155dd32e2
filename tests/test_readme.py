"""The README's commands are real, are what continuous integration runs, and do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from documents import README, ROOT, Block, commands, complaint, read

import snakemake_repro

PAGE = read(README)
STUDY = PAGE.first("Run the study")
TESTS = PAGE.first("Run the tests")


@pytest.mark.parametrize("block", [STUDY, TESTS], ids=["study", "tests"])
def test_each_is_one_command_line_that_stops_at_the_first_failure(block: Block) -> None:
    assert block.text.count("\n") == 1
    assert not re.search(r"[;|]", block.text)
    found = [complaint(words) for words in commands(block.text)]
    assert found == [None] * (block.text.count("&&") + 1)


def test_the_study_is_installed_run_and_reported() -> None:
    assert list(commands(STUDY.text)) == [
        ["python3", "-m", "venv", ".venv"],
        [".venv/bin/python", "-m", "pip", "install", "--quiet", "."],
        ["snakemake", "--executor", "ray"],
        [".venv/bin/repro", "report"],
    ]
    # scripts of jobs that ask for `python` on the PATH get the one that was installed
    assert 'PATH="$PWD/.venv/bin:$PATH" snakemake' in STUDY.text


def test_the_tests_are_installed_and_run() -> None:
    *_, install, run = commands(TESTS.text)
    assert run == [".venv/bin/python", "-m", "pytest", "-n", "2"]
    [what] = [word for word in install if "[" in word]
    extras = what.partition("[")[2].rstrip("]").split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("block", [STUDY, TESTS], ids=["study", "tests"])
def test_continuous_integration_runs_what_the_readme_says(block: Block) -> None:
    """``.ci/run`` reads the blocks by itself: asked for them, it finds these."""
    script = "source <(sed -n '/^block() {/,/^}/p' .ci/run); block \"$1\""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "bash", block.heading],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == block.text
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [name] = re.findall(rf'^(\w+)=\$\(block "{block.heading}"\)$', ci, re.MULTILINE)
    assert re.search(rf'^\s*bash -euo pipefail -c "\${name}"', ci, re.MULTILINE)


def test_the_prerequisites_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [needed] = re.findall(r"^Needed: .*$", README.read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"3\.\d+", needed)
    versions = [
        line.rpartition(":: ")[2]
        for line in project["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", line)
    ]
    assert named == versions
    assert project["requires-python"] == f">={named[0]},<3.{int(named[-1][2:]) + 1}"
    for word in ("Linux", "git", "`venv`", "No Docker, no conda"):
        assert word in needed


def test_the_version_to_cite_is_this_one() -> None:
    assert f"version {snakemake_repro.__version__}" in README.read_text(encoding="utf-8")


@pytest.mark.integration
def test_the_study_has_as_many_jobs_as_the_readme_says(tmp_path: Path) -> None:
    [said] = re.findall(r"runs (\d+) jobs", README.read_text(encoding="utf-8"))
    options = ("--executor", "ray", "--dry-run", "--nocolor", "--directory", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))
    # `all` only collects
    assert int(counts["total"]) - int(counts["all"]) == int(said)
