"""What the rules of a workflow ask for, as Snakemake itself reads it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from snakemake_repro.backends.snakemake_workflow import Asked, find_snakefile, read_workflow
from snakemake_repro.errors import EnvironmentSpecError

SNAKEFILE = """
configfile: "config.yaml"
envvars: "NOT_SET_HERE"
include: "rules/more.smk"

rule a:
    output: "a"
    conda: "envs/a.yaml"
    container: "docker://lab/a:1"
    shell: "true"

rule b:
    output: "b/{x}"
    container: lambda wildcards: f"docker://lab/{wildcards.x}"
    shell: "true"

rule c:
    output: "c/{x}"
    conda: "envs/{x}.yaml"
    shell: "true"

rule d:
    output: "d"
    container: None
    wrapper: "file:///nowhere/wrapper"
"""


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/more.smk").write_text(
        "container: config['image']\nrule e:\n    output: 'e'\n    conda: '../envs/a.yaml'\n"
        "    shell: 'true'\n"
    )
    (tmp_path / "config.yaml").write_text("image: docker://lab/all:2\n")
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/a.yaml").touch()
    (tmp_path / "Snakefile").write_text(textwrap.dedent(SNAKEFILE))
    return tmp_path


def test_images_and_files_are_those_of_the_rules(workflow: Path) -> None:
    before = sorted(workflow.rglob("*"))
    snakefile = find_snakefile(workflow)
    assert snakefile == workflow / "Snakefile"
    asked = read_workflow(snakefile, workflow)
    assert {path.resolve() for path in asked.files} == {workflow / "envs/a.yaml"}
    assert asked == Asked(
        snakefile=snakefile,
        containers=("docker://lab/all:2", "docker://lab/a:1"),
        files=asked.files,
        computed=("b", "c"),
    )
    assert sorted(workflow.rglob("*")) == before, "reading leaves nothing"


def test_a_directory_without_a_workflow_has_none(tmp_path: Path) -> None:
    assert find_snakefile(tmp_path) is None
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/Snakefile").touch()
    assert find_snakefile(tmp_path) == tmp_path / "workflow/Snakefile"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rule a\n", "Expected name or colon"),
        ("config['missing']\n", "'missing'"),
        ("include: 'nowhere.smk'\n", "nowhere.smk"),
        ("import sys; sys.exit('no more')\n", "no more"),
    ],
    ids=["syntax", "configuration", "include", "exit"],
)
def test_a_workflow_that_cannot_be_read_is_one_error(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "Snakefile").write_text(text)
    with pytest.raises(EnvironmentSpecError, match="cannot be read") as caught:
        read_workflow(tmp_path / "Snakefile", tmp_path)
    assert problem in caught.value.message
