"""`repro log`, `repro init` and `repro lock`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from recordings import CLEAN, Recording, study, study_again

from snakemake_repro.records import GitState

Repro = Callable[..., Result]


def test_log_lists_runs_newest_first(repro: Repro, tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    third = Recording(tmp_path, minutes=90, git=GitState(commit=CLEAN.commit, dirty=True))
    third.close()
    fourth = Recording(tmp_path, minutes=95, git=None).end("failed")
    lines = repro("log").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        run_id[:8] for run_id in (fourth, third.id, second, first)
    ]
    assert re.search(r"succeeded +8 +5 +0 +4e98fde0", lines[3])
    assert re.search(r"no end +0 +0 +0 +4e98fde0 dirty", lines[2])
    assert re.search(r"failed +0 +0 +0 +not under git", lines[1])
    assert len(repro("log", "-n", "1").stdout.splitlines()) == 2
    data = json.loads(repro("log", "--json").stdout)
    assert [run["id"] for run in data["runs"]] == [fourth, third.id, second, first]


def test_init_sets_a_workflow_up_and_says_what_it_did(repro: Repro, tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text("")
    text = repro("init").stdout
    assert "created    profiles/default/config.yaml" in text
    assert "+ scheduler: firstfit" in text
    assert "created    .gitignore" in text
    assert "+ .repro/" in text
    again = repro("init")
    assert (again.exit_code, "Nothing to do." in again.stdout) == (0, True)
    data = json.loads(repro("init", "--json").stdout)
    assert [change["action"] for change in data["changes"]] == ["unchanged", "unchanged"]


def test_init_names_what_differs(repro: Repro, tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text("")
    profile = tmp_path / "profiles/default/config.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("scheduler: greedy\n")
    text = repro("init").stdout
    assert "left as it is: scheduler: 'greedy', expected 'firstfit'" in text


@pytest.mark.integration
def test_snakemake_finds_the_profile_that_init_wrote(repro: Repro, tmp_path: Path) -> None:
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/Snakefile").write_text("rule all:\n    output: touch('done')\n")
    repro("init")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--executor", "ray"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "workflow/profiles/default" in done.stderr


def test_init_needs_a_snakefile(repro: Repro) -> None:
    result = repro("init")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: no Snakefile in ")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    path = tmp_path / "workflow" / "envs" / "empty.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("dependencies:\n  - python\n")
    hidden = tmp_path / ".snakemake" / "envs"
    hidden.mkdir(parents=True)
    (hidden / "copy.yaml").write_text("dependencies:\n  - python\n")
    return path


def test_lock_finds_environment_files_and_check_says_whether_they_are_locked(
    repro: Repro, environment: Path
) -> None:
    result = repro("lock", "--check")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "missing    workflow/envs/empty.requirements.lock",
        "Run `repro lock` to bring the locks up to date.",
    ]
    assert repro("lock").stdout == "created    workflow/envs/empty.requirements.lock\n"
    assert environment.with_name("empty.requirements.lock").is_file()
    result = repro("lock", "--check", "--json")
    data = json.loads(result.stdout)
    assert (result.exit_code, data["current"]) == (0, True)
    assert [lock["state"] for lock in data["locks"]] == ["unchanged"]


def test_lock_takes_a_file_behind_upgrade_for_a_file(repro: Repro, environment: Path) -> None:
    assert repro("lock", "--upgrade", "workflow/envs/empty.yaml").exit_code == 0
    assert repro("lock", "workflow/envs/empty.yaml", "--upgrade").exit_code == 0
    assert repro("lock", "--check", "--upgrade").exit_code == 2


def test_lock_without_any_environment_file_says_what_it_looked_for(repro: Repro) -> None:
    result = repro("lock")
    assert result.exit_code == 2
    assert "no environment file below" in result.stderr


def test_lock_of_what_is_no_environment_file_is_refused(repro: Repro, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("dependencies: [")
    result = repro("lock", "x.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is no YAML" in result.stderr
