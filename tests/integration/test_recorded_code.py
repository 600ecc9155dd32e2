"""The record holds the code that ran: its text once, and the modules that a script imports."""

from __future__ import annotations

import pytest
from runs import Workspace

from snakemake_repro.logic.canonical import digest_of_text

pytestmark = pytest.mark.integration

SNAKEFILE = """
envvars: "LAB_TOKEN"
rule all:
    input: expand("{n}.txt", n=[1, 2]), "run.txt", "script.txt"
rule shell_rule:
    output: "{n}.txt"
    shell: "echo {wildcards.n} > {output} # s3cr3t-of-the-lab"
rule run_rule:
    output: "run.txt"
    run:
        with open(output[0], "w") as file:
            file.write("by run")
rule script_rule:
    output: "script.txt"
    script: "scripts/make.py"
"""


@pytest.mark.parametrize("executor", ["ray", "logger"])
def test_each_piece_of_code_is_kept_once_and_without_secrets(
    workspace: Workspace, executor: str
) -> None:
    workspace.write("Snakefile", SNAKEFILE)
    script = "from helper import text\nopen(snakemake.output[0], 'w').write(text())\n"
    workspace.write("scripts/make.py", script)
    workspace.write("scripts/helper.py", "def text():\n    return 'made'\n")
    options = ("--logger", "repro") if executor == "logger" else ()
    workspace.environ["LAB_TOKEN"] = "s3cr3t-of-the-lab"
    workspace.ok(*options, executor="local" if executor == "logger" else "ray")
    codes = workspace.history.codes
    assert len(codes) == 4
    made = workspace.job("script_rule").record.spec
    assert (codes[str(made.code)].name, codes[str(made.code)].text) == ("make.py", script)
    assert list(made.modules) == ["helper.py"]
    assert codes[str(made.modules["helper.py"])].text.startswith("def text()")
    shell = workspace.jobs("shell_rule")[0].record.spec
    text = "echo {wildcards.n} > {output} # s3cr3t-of-the-lab"
    assert shell.code == digest_of_text(text), "of what ran"
    assert codes[str(shell.code)].text == text.replace("s3cr3t-of-the-lab", "<redacted LAB_TOKEN>")
    assert "by run" in codes[str(workspace.job("run_rule").record.spec.code)].text


def test_the_record_says_why_snakemake_ran_a_job(workspace: Workspace) -> None:
    workspace.write("Snakefile", "rule a:\n    output: 'a.txt'\n    shell: 'echo > {output}'\n")
    workspace.ok()
    assert workspace.job("a").record.reason == "Missing output files: a.txt"
    workspace.ok("--forceall")
    assert workspace.job("a").record.reason == "Forced execution"
