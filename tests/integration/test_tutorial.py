"""The tutorial is done from its first command to its last, as a reader does it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import DOCS, read
from repositories import IDENTITY
from runs import Workspace

from snakemake_repro.records import Origin

pytestmark = pytest.mark.integration

TUTORIAL = read(DOCS / "tutorial.md")
_NAMED = re.compile(r"`([\w./]+)`[^`]*:$")
"""The end of the paragraph before a block that is a file."""


def test_the_tutorial_does_what_it_says(lonely: Workspace) -> None:
    programs = Path(sys.executable).parent
    assert shutil.which("repro", path=str(programs))
    environ = lonely.environ | IDENTITY
    environ["PATH"] = f"{programs}:{environ['PATH']}"
    said: dict[str, str] = {}
    differing = {
        "The notebook, as it is": "--rebuild",
        "What changes when I change something?": "diff",
    }
    for block in TUTORIAL.blocks:
        if block.language != "bash":
            named = _NAMED.search(block.lead)
            assert named, f"{block}: which file is that?"
            lonely.root.joinpath(named[1]).write_text(block.text, encoding="utf-8")
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=lonely.root,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        differs = differing.get(block.heading, "\0") in block.text
        assert done.returncode == differs, f"{block}:\n{done.stdout}"
        said[block.heading] = done.stdout
    assert "the job is not deterministic" in said["The notebook, as it is"]
    assert re.search(r"created +envs/study\.requirements\.lock", said["The environment"])
    assert "scripts/showers.py" in said["Where does this number come from?"]
    assert "1 identical" in said["Does it come out again?"]
    assert "parameter depth: 2 -> 3" in said["What changes when I change something?"]
    assert set(json.loads((lonely.root / "results/best.json").read_text())["best"]["params"]) == {
        "depth",
        "rate",
    }
    histories = lonely.histories()
    rules = [
        sorted(
            job.record.spec.rule for job in history.jobs if job.record.origin is not Origin.REUSED
        )
        for history in histories
    ]
    assert rules == [["notebook"], ["fit", "showers"], ["tune"], ["fit"]]
    [first] = [job.record for job in histories[1].jobs if job.record.spec.rule == "fit"]
    assert first.seeds["numpy"] == 1
    assert [metric.name for metric in first.metrics].count("loss") == 100
