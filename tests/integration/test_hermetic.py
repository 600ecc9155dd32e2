"""A hermetic job sees what its rule declares and nothing else; nothing else is kept of it."""

from __future__ import annotations

import pytest
from runs import Workspace

from snakemake_repro.records import IsolationMode

pytestmark = pytest.mark.integration

HERMETIC = ("--ray-hermetic", "enforce", "--ray-hermetic-trace", "off")


def test_a_declared_file_is_all_that_a_job_sees(workspace: Workspace) -> None:
    workspace.write("declared.txt", "declared\n")
    workspace.write("data/a.txt", "a\n")
    workspace.write("data/b.txt", "b\n")
    workspace.write(
        "Snakefile",
        """
        rule look:
            input: "declared.txt", "data/a.txt"
            output: "out/seen.txt"
            log: "logs/look.log"
            shell: "pwd > {log}; find . -type f | sort > {output}"
        """,
    )
    workspace.ok(*HERMETIC)
    seen = (workspace.root / "out/seen.txt").read_text().splitlines()
    assert seen == ["./data/a.txt", "./declared.txt", "./logs/look.log", "./out/seen.txt"]
    assert (workspace.root / "logs/look.log").read_text() == f"{workspace.root}\n"
    record = workspace.job("look").record
    assert record.violations == ()
    assert record.isolation is not None
    assert record.isolation.mode is IsolationMode.ENFORCE
    assert record.isolation.open == ("clock",)
    assert record.use is not None
