"""One thing changes between two real runs: `repro diff` and `repro why` name exactly that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clusters import RunningCluster
from containers import Registry, make_image
from runs import Workspace

from snakemake_repro.logic.canonical import digest_of_text
from snakemake_repro.operations.lock import lock

pytestmark = pytest.mark.integration

REPRO = (sys.executable, "-m", "snakemake_repro.cli")
SNAKEFILE = """
rule all:
    input: "end.txt", "chance.txt"
rule draw:
    input: "in.txt"
    output: "draw.txt"
    params: n=1
    shell: "echo {params.n} | cat - {input} > {output}"
rule tool:
    input: "draw.txt"
    output: "tool.txt"
    container: "docker://IMAGE"
    shell: "cat /etc/label {input} > {output}"
rule learn:
    input: "tool.txt"
    output: "learn.txt"
    conda: "envs/x.yaml"
    script: "scripts/learn.py"
rule end:
    input: "learn.txt"
    output: "end.txt"
    shell: "cat {input} > {output}"
rule chance:
    output: "chance.txt"
    shell: "od -An -N8 -tx8 /dev/urandom > {output}"
"""
SCRIPT = """
import six
from helper import words

with open(snakemake.output[0], "w") as file:
    file.write(f"{words()} with six {six.__version__}: {open(snakemake.input[0]).read()}")
"""
HELPER = """
def words():
    return "made"
"""
YAML = "channels: [conda-forge]\ndependencies: [python, pip, {pip: ['six ==1.16.0']}]\n"


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory,
    cluster: RunningCluster,
    tracking_uri: str,
    registry: Registry,
) -> Workspace:
    """A workflow that ran once; every test changes one thing of it and runs it again."""
    workspace = Workspace(tmp_path_factory.mktemp("study"), cluster, tracking_uri)
    registry.push(make_image("busybox", label="one"), "lab/moving", "1")
    image = f"{registry.host}/lab/moving:1"
    workspace.write("Snakefile", SNAKEFILE.replace("IMAGE", image))
    workspace.write("scripts/learn.py", SCRIPT)
    workspace.write("scripts/helper.py", HELPER)
    workspace.write("envs/x.yaml", YAML)
    workspace.write("in.txt", "in\n")
    workspace.ok()
    return workspace


def _repro(study: Workspace, *args: str, status: int = 0) -> str:
    done = subprocess.run(
        [*REPRO, *args],
        cwd=study.root,
        env=study.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _only_change(study: Workspace, rule: str, target: str) -> dict[str, Any]:
    """Return the one change that `diff`, `why JOB` and `why FILE` all name."""
    data = json.loads(_repro(study, "diff", "--json", status=1))["comparison"]
    [finding] = data["findings"]
    assert finding["jobs"] == [rule]
    assert data["not_done"] == []
    by_job = json.loads(_repro(study, "why", rule, "--json"))["why"]
    assert [because["changes"] for because in by_job] == [[finding["change"]]]
    [because] = json.loads(_repro(study, "why", target, "--json"))["why"]
    while because["job"] != rule:
        assert [change["kind"] for change in because["changes"]] == ["input"]
        [because] = because["causes"]
    assert because["changes"] == [finding["change"]]
    change: dict[str, Any] = finding["change"]
    return change


def test_one_parameter(study: Workspace) -> None:
    _edit(study.root / "Snakefile", "n=1", "n=2")
    study.ok()
    change = _only_change(study, "draw", "end.txt")
    assert (change["kind"], change["name"], change["old"], change["new"]) == (
        "parameter", "n", 1, 2,
    )  # fmt: skip
    text = _repro(study, "diff", status=1)
    assert "First divergence\n  parameter n: 1 -> 2" in text
    assert "What follows  3 jobs" in text


def test_one_line_of_a_script(study: Workspace) -> None:
    _edit(study.root / "scripts/learn.py", " with six ", " by six ")
    study.ok()
    change = _only_change(study, "learn", "end.txt")
    assert (change["kind"], change["name"]) == ("code", "learn.py")
    moved = [line for line in change["text"][2:] if line[0] in "+-"]
    assert ["with" in moved[0], "by" in moved[1], len(moved)] == [True, True, 2]


def test_one_line_of_a_module_that_a_script_imports(study: Workspace) -> None:
    _edit(study.root / "scripts/helper.py", "made", "built")
    study.ok("--forcerun", "learn")
    change = _only_change(study, "learn", "end.txt")
    assert (change["kind"], change["name"]) == ("code", "helper.py")
    assert '+    return "built"' in change["text"]


def test_one_line_of_a_command(study: Workspace) -> None:
    _edit(study.root / "Snakefile", "cat - {input} >", "cat {input} - >")
    study.ok()
    change = _only_change(study, "draw", "end.txt")
    assert (change["kind"], change["name"]) == ("code", "draw")
    assert change["text"][-1] == "+echo {params.n} | cat {input} - > {output}"


def test_one_package(study: Workspace) -> None:
    file = study.root / "envs/x.yaml"
    _edit(file, "1.16.0", "1.17.0")
    assert [locked.state for locked in lock([file])] == ["changed"]
    study.ok()
    change = _only_change(study, "learn", "end.txt")
    assert change == {
        "kind": "package", "name": "six", "old": "1.16.0", "new": "1.17.0", "text": [],
    }  # fmt: skip


def test_one_byte_of_an_input(study: Workspace) -> None:
    (study.root / "in.txt").write_text("In\n")
    study.ok()
    change = _only_change(study, "draw", "end.txt")
    assert (change["kind"], change["name"]) == ("input", "in.txt")
    digests = [str(digest_of_text(text)) for text in ("in\n", "In\n")]
    assert [change["old"], change["new"]] == digests


def test_one_image(study: Workspace, registry: Registry) -> None:
    new = registry.push(make_image("busybox", label="two"), "lab/moving", "1")
    image = f"{registry.host}/lab/moving:1"
    _repro(study, "lock", "--upgrade", image)
    study.ok()
    change = _only_change(study, "tool", "end.txt")
    assert (change["kind"], change["name"]) == ("image", f"docker://{image}")
    assert change["new"] == f"{registry.host}/lab/moving@{new}"
    assert change["old"] != change["new"]


def test_the_same_key_with_other_bytes(study: Workspace) -> None:
    study.ok("--forcerun", "chance")
    data = json.loads(_repro(study, "diff", "--json", status=1))["comparison"]
    [finding] = data["findings"]
    assert (finding["change"]["kind"], finding["jobs"]) == ("nondeterminism", ["chance"])
    text = _repro(study, "why", "chance")
    assert "nothing that determines its result had changed" in text
    assert "Snakemake: Forced execution" in text
    assert ": other results" in text


def test_nothing_that_changed_is_no_difference(study: Workspace) -> None:
    _repro(study, "diff", study.history.run.id[:8], "chance.txt")
