"""A run with a failed, a retried and a reused job becomes a crate that its community's validator accepts."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from crates import complaints
from runs import Workspace

pytestmark = pytest.mark.integration

SNAKEFILE = """
configfile: "config.yaml"
envvars: "STUDY_TOKEN"
rule all:
    input: "out/end.txt", "out/never.txt", "out/tree"
rule first:
    input: "data/in.txt"
    output: "out/first.txt"
    log: "logs/first.log"
    shell: "cp {input} {output}; echo $STUDY_TOKEN > {log}"
rule shaky:
    input: "out/first.txt"
    output: "out/shaky.txt"
    params: n=config["n"]
    retries: 1
    shell: "test -e out/tried || {{ touch out/tried; exit 3; }}; echo {params.n} | cat {input} - > {output}"
rule end:
    input: "out/shaky.txt"
    output: "out/end.txt"
    script: "scripts/end.py"
rule tree:
    input: "out/first.txt"
    output: directory("out/tree")
    shell: "mkdir {output}; cp {input} {output}/leaf.txt"
rule never:
    input: "out/end.txt"
    output: "out/never.txt"
    shell: "echo no; false"
"""
SCRIPT = "open(snakemake.output[0], 'w').write(open(snakemake.input[0]).read().upper())\n"
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")
SECRET = "the-token-of-the-study-0123"
ABOUT = (
    "--author", "A. Author", "--organization", "Example Lab",
    "--organization-url", "https://example.org", "--license", "MIT",
)  # fmt: skip


@pytest.fixture
def study(workspace: Workspace) -> Workspace:
    """A committed workflow, run to its first file, then to the end, with one job that fails."""
    workspace.environ["STUDY_TOKEN"] = SECRET
    workspace.write("Snakefile", SNAKEFILE)
    workspace.write("scripts/end.py", SCRIPT)
    workspace.write("config.yaml", "n: 1\n")
    workspace.write("data/in.txt", "in\n")
    workspace.write(".gitignore", "data/\nout/\nlogs/\n.snakemake/\n.repro/\n")
    _git(workspace.root.parent, "init", "--quiet")
    _git(workspace.root, "add", ".")
    _git(workspace.root, "commit", "--quiet", "--message", "study")
    workspace.ok("out/first.txt")
    workspace.fails("--keep-going")
    return workspace


def _git(root: Path, *args: str) -> None:
    subprocess.run(["git", *IDENTITY, *args], cwd=root, check=True)


def _graph(crate: Path) -> dict[str, dict[str, Any]]:
    data = json.loads((crate / "ro-crate-metadata.json").read_text())
    return {one["@id"]: one for one in data["@graph"]}


def test_a_run_is_exported_as_a_crate(study: Workspace, tmp_path: Path) -> None:
    crate = tmp_path / "crate"
    told = study.repro("export", "--format", "crate", "--output", str(crate), *ABOUT).stdout
    assert f"is in {crate}, with " in told
    graph = _graph(crate)

    actions = [one for one in graph.values() if one["@type"] in ("CreateAction", "ActivateAction")]
    rules: dict[str, list[dict[str, Any]]] = {one["name"]: [] for one in actions}
    for one in actions:
        rules[one["name"]].append(one)
    failed, repeated = sorted(rules["shaky"], key=lambda one: one["startTime"])
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert "error" in failed
    assert repeated["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert {"@id": "out/shaky.txt"} in repeated["result"]
    [first] = rules["first"]
    assert "its results were reused" in first["description"]
    assert {"@id": "data/in.txt"} in first["object"]
    [never] = rules["never"]
    assert never["actionStatus"] == "http://schema.org/FailedActionStatus"

    for name, one in graph.items():
        if one["@type"] == "File" and not name.startswith("#"):
            path = crate / unquote(name)
            assert hashlib.sha256(path.read_bytes()).hexdigest() == one["sha256"]
            assert one["contentSize"] == str(path.stat().st_size)
    assert (crate / "out/tree/leaf.txt").read_text() == "in\n"
    assert (crate / "scripts/end.py").read_text() == SCRIPT

    (tmp_path / "notes").mkdir()
    assert complaints(crate, tmp_path / "notes") == []


def test_an_archive_is_a_crate_too(study: Workspace, tmp_path: Path) -> None:
    crate = tmp_path / "crate.zip"
    out = study.repro("export", "--format", "crate", "-o", str(crate), *ABOUT, "--json").stdout
    said = json.loads(out)["crate"]
    assert (said["path"], said["obstacle"]) == (str(crate), None)
    (tmp_path / "notes").mkdir()
    assert complaints(crate, tmp_path / "notes") == []
    again = study.repro("export", "--format", "crate", "-o", str(crate), status=2)
    assert "is there already" in again.stderr


def test_no_byte_of_a_crate_holds_a_secret(study: Workspace, tmp_path: Path) -> None:
    crate = tmp_path / "crate"
    study.repro("export", "--format", "crate", "--output", str(crate))
    written = [path for path in crate.rglob("*") if path.is_file()]
    assert [str(path) for path in written if SECRET.encode() in path.read_bytes()] == []


def test_a_run_is_repeated_from_a_crate_alone(study: Workspace, tmp_path: Path) -> None:
    (study.root / "Snakefile").write_text(SNAKEFILE.replace("echo no; false", "touch {output}"))
    study.ok("--forceall")
    crate = tmp_path / "crate.zip"
    study.repro("export", "--format", "crate", "--output", str(crate))
    study.root.rename(tmp_path / "gone")
    (tmp_path / ".git").rename(tmp_path / "gone.git")
    study.root = tmp_path / "elsewhere"
    study.root.mkdir()
    done = study.repro("rerun", str(crate), "--json")
    data = json.loads(done.stdout)["comparison"]
    assert (data["findings"], data["same"]) == ([], 5)
    assert list(study.root.iterdir()) == [], "nothing is written here"

    shutil.unpack_archive(crate, study.root / "crate")
    before = sorted(study.root.rglob("*"))
    assert study.repro("rerun", "crate", "--keep", str(tmp_path / "kept")).stdout.startswith(
        "Nothing differs.\n"
    )
    assert sorted(study.root.rglob("*")) == before, "nor into the crate"
    (study.root / "crate/data/in.txt").write_text("meddled")
    failed = study.repro("rerun", "crate", status=2)
    assert "data/in.txt: not there with the bytes that the run read" in failed.stderr


def test_a_workflow_outside_of_version_control_is_exported_too(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.write("Snakefile", 'include: "rules/one.smk"\n')
    workspace.write(
        "rules/one.smk", 'rule one:\n    output: "one.txt"\n    shell: "echo 1 > {output}"\n'
    )
    workspace.ok("one.txt")
    done = workspace.repro("export", "--format", "crate", "--output", "crate", *ABOUT)
    assert "its code was not committed to git" in done.stdout
    assert (workspace.root / "crate/rules/one.smk").exists()
    (tmp_path / "notes").mkdir()
    assert complaints(workspace.root / "crate", tmp_path / "notes") == []
    refused = workspace.repro("rerun", "crate", status=2)
    assert "holds no commit" in refused.stderr
