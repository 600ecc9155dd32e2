"""A workflow gets what it needs, and nothing of its author's is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from snakemake_repro.errors import NotFoundError, StorageError
from snakemake_repro.operations.initialise import Action, Change, initialise

PROFILE = "workflow/profiles/default/config.yaml"
LINES = (".snakemake/", ".repro/", "mlflow.db", "mlruns/")


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "Snakefile").write_text("rule all:\n")
    return tmp_path


def _actions(workdir: Path) -> dict[str, Action]:
    return {change.path: change.action for change in initialise(workdir)}


def test_a_new_workflow_gets_a_profile_and_ignored_lines(workflow: Path) -> None:
    assert _actions(workflow) == {PROFILE: Action.CREATED, ".gitignore": Action.CREATED}
    settings = yaml.safe_load((workflow / PROFILE).read_text())
    assert settings == {"jobs": 100, "scheduler": "firstfit"}
    assert [
        line for line in (workflow / ".gitignore").read_text().splitlines() if line[0] != "#"
    ] == list(LINES)


def test_doing_it_again_changes_nothing(workflow: Path) -> None:
    initialise(workflow)
    before = {path: path.read_bytes() for path in workflow.rglob("*") if path.is_file()}
    assert _actions(workflow) == {PROFILE: Action.UNCHANGED, ".gitignore": Action.UNCHANGED}
    assert {path: path.read_bytes() for path in workflow.rglob("*") if path.is_file()} == before


def test_the_profile_lies_where_snakemake_looks_for_it(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text("")
    assert initialise(tmp_path)[0].path == "profiles/default/config.yaml"


@pytest.mark.parametrize(
    "existing",
    [
        "profiles/default/config.yaml",
        "profiles/default/config.v8+.yaml",
        "workflow/profiles/default/profile.yaml",
    ],
)
def test_a_profile_that_is_there_is_extended(workflow: Path, existing: str) -> None:
    path = workflow / existing
    path.parent.mkdir(parents=True)
    path.write_text("# mine\nprintshellcmds: true\njobs: 7")
    [change, _] = initialise(workflow)
    assert change == Change(path=existing, action=Action.EXTENDED, added=("scheduler: firstfit",))
    assert path.read_text().startswith("# mine\nprintshellcmds: true\njobs: 7\n")
    assert yaml.safe_load(path.read_text()) == {
        "printshellcmds": True,
        "jobs": 7,
        "scheduler": "firstfit",
    }
    assert initialise(workflow)[0].action is Action.UNCHANGED


def test_a_setting_that_differs_is_named_and_left_alone(workflow: Path) -> None:
    path = workflow / PROFILE
    path.parent.mkdir(parents=True)
    path.write_text("jobs: 3\nscheduler: ilp\n")
    [change, _] = initialise(workflow)
    assert (change.action, change.added) == (Action.UNCHANGED, ())
    [difference] = change.differences
    assert difference.startswith("scheduler: 'ilp', expected 'firstfit'")
    assert path.read_text() == "jobs: 3\nscheduler: ilp\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{jobs: 3}\n", id="flow style cannot be added to"),
        pytest.param("- a\n- b\n", id="a list"),
        pytest.param("jobs: [\n", id="not YAML"),
    ],
)
def test_a_profile_that_cannot_be_added_to_is_left_alone(workflow: Path, text: str) -> None:
    path = workflow / PROFILE
    path.parent.mkdir(parents=True)
    path.write_text(text)
    [change, _] = initialise(workflow)
    assert change.action is Action.UNCHANGED
    assert "scheduler: firstfit" in " ".join(change.differences)
    assert path.read_text() == text


def test_an_empty_profile_is_filled(workflow: Path) -> None:
    path = workflow / PROFILE
    path.parent.mkdir(parents=True)
    path.write_text("# nothing yet")
    assert initialise(workflow)[0].action is Action.EXTENDED
    assert yaml.safe_load(path.read_text()) == {"jobs": 100, "scheduler": "firstfit"}


def test_lines_of_gitignore_are_added_once_and_others_kept(workflow: Path) -> None:
    path = workflow / ".gitignore"
    path.write_bytes(b"*.pyc\n/.snakemake\nmlruns\n\xff odd")
    change = initialise(workflow)[1]
    assert change == Change(
        path=".gitignore", action=Action.EXTENDED, added=(".repro/", "mlflow.db")
    )
    assert path.read_bytes().startswith(b"*.pyc\n/.snakemake\nmlruns\n\xff odd\n\n#")


def test_modes_and_links_are_kept(workflow: Path) -> None:
    real = workflow / "shared.ignore"
    real.write_text("x\n")
    real.chmod(0o640)
    (workflow / ".gitignore").symlink_to(real.name)
    initialise(workflow)
    assert (workflow / ".gitignore").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert ".repro/" in real.read_text()


def test_without_a_snakefile_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no Snakefile in") as caught:
        initialise(tmp_path)
    assert "-C" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said_and_nothing_is_left_behind(workflow: Path) -> None:
    (workflow / "workflow" / "profiles").write_text("a file where a directory should be")
    with pytest.raises(StorageError, match="cannot write"):
        initialise(workflow)
    assert {path.name for path in (workflow / "workflow").iterdir()} == {"Snakefile", "profiles"}
