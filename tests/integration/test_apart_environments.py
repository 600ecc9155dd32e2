"""Rules of the fork tier in environments, on a node that shares no files with the driver."""

from __future__ import annotations

from pathlib import Path

import pytest
from clusters import RunningCluster
from places import Place, kinds_of
from runs import Workspace

from snakemake_repro.records import EnvironmentKind, JobState, Tier

pytestmark = pytest.mark.integration


@pytest.fixture
def inside(
    hidden: Path, apart: RunningCluster, place: Place, request: pytest.FixtureRequest
) -> Workspace:
    """A working directory with the environment's files that the node does not see."""
    root = hidden / request.node.name
    root.mkdir()
    workspace = Workspace(root, apart)
    place.link(workspace)
    workspace.write("data/in.txt", "in\n")
    workspace.write("scripts/work.py", f"open(snakemake.output[0], 'w').write({place.code})\n")
    return workspace


def _text(workspace: Workspace, name: str) -> str:
    return (workspace.root / name).read_text()


def _check(workspace: Workspace, kinds: dict[str, EnvironmentKind]) -> None:
    """Run, and look at the record and at what is left beside the outputs."""
    # a container takes its time to begin
    workspace.ok("--shared-fs-usage", "none", "--latency-wait", "30")
    assert kinds_of(workspace) == kinds
    jobs = workspace.history.jobs
    assert {job.record.tier for job in jobs} == {Tier.FORK}
    assert {job.state for job in jobs} == {JobState.ACCEPTED}
    assert not list((workspace.root / ".repro/arriving").glob("*"))


def test_members_of_a_group_and_run_rules_run_inside(inside: Workspace, place: Place) -> None:
    inside.write(
        "Snakefile",
        f"""
        rule all:
            input: "out/c.txt", "out/run.txt"
        rule a:
            input: "data/in.txt"
            output: "out/a.txt"
            log: "logs/a.log"
            group: "g"
            {place.directive}
            shell: "{place.who} > {{output}}; cat {{input}} >> {{output}}; echo said > {{log}}"
        rule b:
            output: "out/b.txt"
            group: "g"
            {place.directive}
            script: "scripts/work.py"
        rule c:
            input: "out/a.txt", "out/b.txt"
            output: "out/c.txt"
            group: "g"
            shell: "cat {{input}} > {{output}}; echo outside >> {{output}}"
        rule run:
            input: "out/c.txt"
            output: "out/run.txt"
            {place.directive}
            run:
                shell("{place.who} > {{output}}")
                said = shell("{place.who}", read=True)
                with open(output[0], "a") as file:
                    file.write(said + open(input[0]).read())
        """,
    )
    kinds = dict.fromkeys(("a", "b", "run"), place.kind)
    _check(inside, {**kinds, "c": EnvironmentKind.HOST})
    together = f"{place.said}\nin\n{place.said}outside\n"
    assert _text(inside, "out/c.txt") == together
    assert _text(inside, "out/run.txt") == f"{place.said}\n" * 2 + together
    assert _text(inside, "logs/a.log") == "said\n"


def test_pipes_and_services_run_inside(inside: Workspace, place: Place) -> None:
    inside.write(
        "Snakefile",
        f"""
        rule all:
            input: "out/piped.txt", "out/served.txt"
        rule producer:
            input: "data/in.txt"
            output: pipe("out/pipe")
            {place.directive}
            shell: "({place.who}; cat {{input}}) > {{output}}"
        rule consumer:
            input: "out/pipe"
            output: "out/piped.txt"
            {place.directive}
            shell: "cat {{input}} > {{output}}; {place.who} >> {{output}}"
        rule server:
            output: service("out/served")
            {place.directive}
            shell: "{place.who} > {{output}}; sleep 1000"
        rule client:
            input: "out/served", "data/in.txt"
            output: "out/served.txt"
            {place.directive}
            shell: "cat {{input}} > {{output}}"
        """,
    )
    _check(inside, dict.fromkeys(("producer", "consumer", "server", "client"), place.kind))
    assert _text(inside, "out/piped.txt") == f"{place.said}\nin\n{place.said}\n"
    assert _text(inside, "out/served.txt") == f"{place.said}\nin\n"
    assert not (inside.root / "out/pipe").exists()
    assert not (inside.root / "out/served").exists()
