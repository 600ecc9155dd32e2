"""A recorded run is repeated from its commit, elsewhere, and compared."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from mlflow_view import View
from runs import Workspace

from snakemake_repro.backends.files import observe

pytestmark = pytest.mark.integration

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
    done = study.repro("rerun")
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
    done = study.repro("rerun", "latest", "--keep", str(keep), "--json", status=1)
    data = json.loads(done.stdout)["comparison"]
    [finding] = data["findings"]
    assert (finding["change"]["kind"], finding["jobs"]) == ("nondeterminism", ["chance"])
    assert data["same"] == 2
    assert (keep / "out/end.txt").read_text() == "IN\n1\n"
    assert "there already" in study.repro("rerun", "--keep", str(keep), status=2).stderr


def test_a_run_that_cannot_be_repeated_says_why(study: Workspace) -> None:
    study.ok()
    (study.root / "data/in.txt").write_text("other\n")
    done = study.repro("rerun", status=2)
    assert "data/in.txt: not there with the bytes that the run read" in done.stderr
    study.write("data/in.txt", "in\n")
    study.write("scripts/end.py", f"{SCRIPT}# writes to {study.root}/out, some day\n")
    study.ok()
    done = study.repro("rerun", status=2)
    assert f"scripts/end.py names {study.root}" in done.stderr
    study.write("config.yaml", f"n: 1\nplace: {study.root}/out\n")
    study.ok("--forceall")
    done = study.repro("rerun", status=2)
    assert f"command or configuration name {study.root}" in done.stderr


def test_jobs_are_executed_again_and_come_out_the_same(study: Workspace) -> None:
    study.ok("--notemp")
    before = _seen(study.root)
    done = study.repro("verify", "--rebuild", "--all")
    assert "identical  draw" in done.stdout
    assert "3 of 3 jobs executed again, every output as recorded" in done.stdout.replace("\n", " ")
    done = study.repro("verify", "--rebuild", "out/end.txt", "--json")
    [job] = json.loads(done.stdout)["rebuild"]["jobs"]
    assert (job["job"], job["came"], job["changes"]) == ("end", "identical", [])
    done = study.repro("verify", "--rebuild", "--sample", "1", "--json")
    assert len(json.loads(done.stdout)["rebuild"]["jobs"]) == 1
    assert _seen(study.root) == before, "the originals stay as they are"


def test_a_job_that_gives_other_bytes_is_named_and_so_is_a_gone_input(study: Workspace) -> None:
    study.write("Snakefile", SNAKEFILE.replace("echo CHANCE", "od -An -N8 -tx8 /dev/urandom"))
    _commit(study.root)
    study.ok()
    done = study.repro("verify", "--rebuild", "chance", status=1)
    assert "different  chance\n  out/chance.txt  " in done.stdout
    assert "the job is not deterministic" in done.stdout
    done = study.repro("verify", "--rebuild", "end", "--json", status=2)
    [job] = json.loads(done.stdout)["rebuild"]["jobs"]
    assert (job["came"], job["note"]) == (
        "not tried", "out/draw.txt: not there with the bytes that the run read",
    )  # fmt: skip


TOLERANT = """
from snakemake_repro.comparators import compare, json
rule all:
    input: "out/a.json", "out/b.json"
rule a:
    output: compare("out/a.json", json(atol=1, ignore=["at"]), cause="it holds the time")
    shell: '''printf '{{"x": 1, "at": %s}}' $(date +%s%N) > {output}'''
rule b:
    output: temp(compare("out/b.json", json(rtol=1e-6)))
    run:
        import time
        with open(output[0], "w") as file:
            print('{"x": %d}' % time.time_ns(), file=file)
"""


def test_outputs_are_compared_as_their_rules_declare(study: Workspace) -> None:
    study.write("Snakefile", TOLERANT)
    _commit(study.root)
    study.ok("--notemp")
    done = study.repro("verify", "--rebuild")
    assert "within tolerance  a\n" in done.stdout
    assert "the same within json(atol=1, ignore=['at']), because it holds the time" in done.stdout
    assert "within declared tolerances (2 within" in " ".join(done.stdout.split())
    text = study.repro("rerun", "latest", "--", "--notemp").stdout
    assert text.startswith("Every output is the same, or counts as the same")
    assert "Within tolerance" in text

    study.write("Snakefile", TOLERANT.replace("rtol=1e-6", "rtol=1e-20"))
    _commit(study.root)
    study.ok("--notemp", "--forceall")
    data = json.loads(study.repro("verify", "--rebuild", "--json", status=1).stdout)["rebuild"]
    came = {job["job"]: job for job in data["jobs"]}
    assert (came["a"]["came"], came["b"]["came"]) == ("within tolerance", "different")
    [file] = came["b"]["outputs"]
    assert file["judgement"]["comparator"] == "json(rtol=1e-20)"
    assert file["judgement"]["difference"].startswith("x: ")
    (study.root / "out/a.json").write_text("{}")
    done = study.repro("verify", "--rebuild", "a", status=1)
    assert "its recorded content is not there any more" in " ".join(done.stdout.split())


FICKLE = """
rule all:
    input: expand("out/{what}", what=["threads", "host", "set", "zone", "order", "steady"])
rule probe:
    input: "parts"
    output: "out/{what}"
    shell:
        "case {wildcards.what} in"
        " threads) echo {threads};;"
        " host) uname -n;;"
        " set) python3 -c 'print(list(set(map(str, range(99)))))';;"
        " zone) date +%Z;;"
        " order) ls -U {input};;"
        " steady) ls {input};;"
        " esac > {output}"
"""


def test_what_decides_a_result_is_found_by_varying_one_thing_at_a_time(study: Workspace) -> None:
    study.write("Snakefile", FICKLE)
    for number in range(40):
        study.write(f"parts/{number:02}", "")
    _commit(study.root)
    study.ok()
    done = study.repro("verify", "--rebuild", "--vary", "all", "--json", status=1)
    data = json.loads(done.stdout)
    assert {job["came"] for job in data["variations"]["base"]["jobs"]} == {"identical"}
    assert {(flip["variation"], flip["job"]) for flip in data["flips"]} == {
        ("threads", "probe what=threads"),
        ("hostname", "probe what=host"),
        ("hash-seed", "probe what=set"),
        ("time", "probe what=zone"),
        ("file-order", "probe what=order"),
    }
    done = study.repro("verify", "--rebuild", "out/zone", "--vary", "time", status=1)
    text = " ".join(done.stdout.split())
    assert "What decides results time zone and SOURCE_DATE_EPOCH in probe what=zone" in text
    done = study.repro("verify", "--vary", "time", status=2)
    assert "--vary is given without --rebuild" in done.stderr
