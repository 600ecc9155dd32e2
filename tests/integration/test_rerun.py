"""A recorded run is repeated from its commit, elsewhere, and compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow_view import View
from runs import Workspace

from snakemake_repro.backends.files import observe

pytestmark = pytest.mark.integration

REPRO = (sys.executable, "-m", "snakemake_repro.cli")
SNAKEFILE = """
configfile: "config.yaml"
rule all:
    input: "out/end.txt", "out/chance.txt"
rule draw:
    input: "data/in.txt"
    output: temp("out/draw.txt")
    params: n=config["n"]
    shell: "cat {input} > {output}; echo {params.n} >> {output}"
rule end:
    input: "out/draw.txt"
    output: "out/end.txt"
    script: "scripts/end.py"
rule chance:
    output: "out/chance.txt"
    shell: "echo CHANCE > {output}"
"""
SCRIPT = "open(snakemake.output[0], 'w').write(open(snakemake.input[0]).read().upper())\n"
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")


@pytest.fixture
def study(workspace: Workspace) -> Workspace:
    """A committed workflow whose input is not committed."""
    workspace.write("Snakefile", SNAKEFILE)
    workspace.write("scripts/end.py", SCRIPT)
    workspace.write("config.yaml", "n: 1\n")
    workspace.write("data/in.txt", "in\n")
    workspace.write(".gitignore", "data/\nout/\n.snakemake/\n.repro/\n")
    _git(workspace.root, "init", "--quiet")
    _commit(workspace.root)
    return workspace


def _git(root: Path, *args: str) -> None:
    subprocess.run(["git", *IDENTITY, *args], cwd=root, check=True)


def _commit(root: Path) -> None:
    _git(root, "add", ".")
    _git(root, "commit", "--quiet", "--message", "study")


def _repro(study: Workspace, *args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*REPRO, *args], cwd=study.root, env=study.environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == status, (done.stdout, done.stderr)
    return done


def _seen(root: Path) -> dict[str, str]:
    """Return everything in a directory but git's and our own notes, by digest."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path): str(observe(path, root=root).digest)
        for path in files
        if not {".git", ".repro", ".snakemake"} & set(path.parts)
    }


def test_a_run_is_repeated_with_changes_that_were_not_committed(study: Workspace) -> None:
    study.write("config.yaml", "n: 2\n")
    study.ok()
    run_id = study.history.run.id
    study.write("config.yaml", "n: 3\n")
    (study.root / "out/end.txt").write_text("meddled")
    before = _seen(study.root)
    done = _repro(study, "rerun")
    assert done.stdout.startswith("Nothing differs.\n")
    assert "3 jobs the same in both runs." in done.stdout
    assert _seen(study.root) == before, "the originals stay as they are"
    tags = [run.data.tags for run in View(study.environ["MLFLOW_TRACKING_URI"]).runs()]
    assert [t["repro.run_id"] for t in tags if t.get("repro.repeat_of") == run_id] != []


def test_what_does_not_come_out_the_same_is_named(study: Workspace) -> None:
    study.write("Snakefile", SNAKEFILE.replace("echo CHANCE", "od -An -N8 -tx8 /dev/urandom"))
    _commit(study.root)
    study.ok()
    keep = study.root.parent / "kept"
    done = _repro(study, "rerun", "latest", "--keep", str(keep), "--json", status=1)
    data = json.loads(done.stdout)["comparison"]
    [finding] = data["findings"]
    assert (finding["change"]["kind"], finding["jobs"]) == ("nondeterminism", ["chance"])
    assert data["same"] == 2
    assert (keep / "out/end.txt").read_text() == "IN\n1\n"
    assert "there already" in _repro(study, "rerun", "--keep", str(keep), status=2).stderr


def test_a_run_that_cannot_be_repeated_says_why(study: Workspace) -> None:
    study.ok()
    (study.root / "data/in.txt").write_text("other\n")
    done = _repro(study, "rerun", status=2)
    assert "data/in.txt: not there with the bytes that the run read" in done.stderr
    study.write("data/in.txt", "in\n")
    study.write("scripts/end.py", f"{SCRIPT}# writes to {study.root}/out, some day\n")
    study.ok()
    done = _repro(study, "rerun", status=2)
    assert f"scripts/end.py names {study.root}" in done.stderr
    study.write("config.yaml", f"n: 1\nplace: {study.root}/out\n")
    study.ok("--forceall")
    done = _repro(study, "rerun", status=2)
    assert f"command or configuration name {study.root}" in done.stderr


def test_jobs_are_executed_again_and_come_out_the_same(study: Workspace) -> None:
    study.ok("--notemp")
    before = _seen(study.root)
    done = _repro(study, "verify", "--rebuild", "--all")
    assert "identical  draw" in done.stdout
    assert "3 of 3 jobs executed again, every output as recorded" in done.stdout.replace("\n", " ")
    done = _repro(study, "verify", "--rebuild", "out/end.txt", "--json")
    [job] = json.loads(done.stdout)["rebuild"]["jobs"]
    assert (job["job"], job["came"], job["changes"]) == ("end", "identical", [])
    done = _repro(study, "verify", "--rebuild", "--sample", "1", "--json")
    assert len(json.loads(done.stdout)["rebuild"]["jobs"]) == 1
    assert _seen(study.root) == before, "the originals stay as they are"


def test_a_job_that_gives_other_bytes_is_named_and_so_is_a_gone_input(study: Workspace) -> None:
    study.write("Snakefile", SNAKEFILE.replace("echo CHANCE", "od -An -N8 -tx8 /dev/urandom"))
    _commit(study.root)
    study.ok()
    done = _repro(study, "verify", "--rebuild", "chance", status=1)
    assert "different  chance\n  out/chance.txt  " in done.stdout
    assert "the job is not deterministic" in done.stdout
    done = _repro(study, "verify", "--rebuild", "end", "--json", status=2)
    [job] = json.loads(done.stdout)["rebuild"]["jobs"]
    assert (job["came"], job["note"]) == (
        "not tried", "out/draw.txt: not there with the bytes that the run read",
    )  # fmt: skip
