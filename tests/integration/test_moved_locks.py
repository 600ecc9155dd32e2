"""A moved lock makes Snakemake run again what uses it, and says so, under every executor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runs import Workspace

from snakemake_repro.operations.lock import lock

pytestmark = pytest.mark.integration

SNAKEFILE = """
rule all:
    input: "one.txt", "other.txt", "plain.txt"
rule one:
    output: "one.txt"
    conda: "envs/one.yaml"
    shell: "python -c 'import six; print(six.__version__)' > {output}"
rule other:
    output: "other.txt"
    conda: "envs/other.yaml"
    shell: "echo other > {output}"
rule plain:
    output: "plain.txt"
    shell: "echo plain > {output}"
"""
WHY = "Software environment definition has changed since last execution"
UP_TO_DATE = "Nothing to be done"


@pytest.fixture
def locked(workspace: Workspace) -> Workspace:
    workspace.write("Snakefile", SNAKEFILE)
    _ask(workspace, "one", "six ==1.16.0")
    _ask(workspace, "other", "tabulate ==0.9.0")
    lock([workspace.root / "envs/one.yaml", workspace.root / "envs/other.yaml"])
    return workspace


def _ask(workspace: Workspace, name: str, requirement: str) -> Path:
    text = f"dependencies: [python, {{pip: ['{requirement}']}}]\n"
    return workspace.write(f"envs/{name}.yaml", text)


def _planned(output: str) -> set[str]:
    return set(re.findall(r"^(?:local)?rule (\w+):", output, re.MULTILINE))


def test_exactly_the_rules_that_use_a_moved_lock_run_again(locked: Workspace) -> None:
    locked.ok()
    assert UP_TO_DATE in locked.ok().output
    assert (locked.root / "one.txt").read_text() == "1.16.0\n"
    lock([_ask(locked, "one", "six ==1.17.0")])
    for executor, flags in (("local", ["-n"]), ("ray", ["-n"]), ("ray", [])):
        output = locked.ok(*flags, executor=executor).output
        assert _planned(output) == {"all", "one"}
        assert WHY in output
    assert (locked.root / "one.txt").read_text() == "1.17.0\n"
    assert UP_TO_DATE in locked.ok().output
    assert UP_TO_DATE in locked.ok("-n", executor="local").output


def test_the_text_of_a_lock_does_not_count(locked: Workspace) -> None:
    locked.ok()
    path = locked.root / "envs/one.requirements.lock"
    path.write_text(path.read_text() + "# a remark\n")
    assert UP_TO_DATE in locked.ok("-n").output


def test_an_environment_file_that_changed_since_its_lock_counts(locked: Workspace) -> None:
    locked.ok()
    _ask(locked, "other", "tabulate")
    output = locked.ok("-n").output
    assert _planned(output) == {"all", "other"}
    assert WHY in output


def test_other_executors_agree_before_anything_ran_on_the_cluster(locked: Workspace) -> None:
    locked.ok("plain.txt", "other.txt", executor="local")
    assert UP_TO_DATE in locked.ok("-n", "plain.txt", "other.txt").output
    lock([_ask(locked, "other", "tabulate ==0.8.10")])
    output = locked.ok("-n", "plain.txt", "other.txt", executor="local").output
    assert _planned(output) == {"other"}
