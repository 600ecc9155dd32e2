"""Containers without network: one idle container has it, and the others join."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import ours
from processes import descendants, kill, wait_for
from runs import Workspace

from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.containers.network import EmptyNetwork
from snakemake_repro.backends.containers.run import run
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.logic.containers import Bind, ContainerJob, supervised
from snakemake_repro.records import IsolationMode

pytestmark = pytest.mark.integration

NONE = ("--ray-container-network", "none")
LOOK = "(cat /proc/net/dev; hostname) > {output}"


@pytest.fixture
def alone(lonely: Workspace, engine: Engine) -> Iterator[Workspace]:
    """A working directory whose runs leave no container behind."""
    yield lonely
    wait_for(lambda: not ours(engine), timeout=10, what="the end of every container")


@pytest.fixture
def network(engine: Engine) -> Iterator[EmptyNetwork]:
    made = EmptyNetwork(engine, user=f"{os.getuid()}:{os.getgid()}", hostname="job")
    with contextlib.closing(made):
        yield made
    wait_for(lambda: not ours(engine), timeout=10, what="the end of the idle container")


def _rules(workspace: Workspace, image: str, **resources: str) -> None:
    lines = [f"rule all:\n    input: {[f'{name}.txt' for name in resources]}"]
    for name, value in resources.items():
        lines += [f"rule {name}:", f"    output: '{name}.txt'", f"    resources: {value}"]
        lines += [f"    container: 'docker://{image}'", f"    shell: '{LOOK}'"]
    workspace.write("Snakefile", "\n".join([*lines, ""]))


def _interfaces(workspace: Workspace, rule: str) -> set[str]:
    text = (workspace.root / f"{rule}.txt").read_text()
    return set(re.findall(r"^\s*([\w.-]+):", text, re.MULTILINE))


def test_a_rule_says_whether_it_has_the_network(alone: Workspace, small: str) -> None:
    here = {path.name for path in Path("/sys/class/net").iterdir()}
    _rules(alone, small, closed="network=False", open="network=True", counted="network=0")
    alone.ok()
    assert _interfaces(alone, "closed") == {"lo"}
    assert _interfaces(alone, "open") == _interfaces(alone, "counted") == here
    assert (alone.root / "closed.txt").read_text().splitlines()[-1] == "job"
    isolation = alone.job("closed").record.isolation
    assert isolation is not None
    assert isolation.mode is IsolationMode.OPEN
    assert "network" in isolation.closed
    assert "files" in isolation.open
    assert isolation.means.startswith("Docker ")
    assert alone.job("open").record.isolation is None

    alone.ok(*NONE, "--forceall")
    assert _interfaces(alone, "closed") == _interfaces(alone, "counted") == {"lo"}
    assert _interfaces(alone, "open") == here


def test_a_rule_without_network_that_nothing_closes_off_is_refused(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        "rule a:\n    output: 'a.txt'\n    resources: network=False\n    shell: 'touch {output}'\n",
    )
    done = workspace.fails()
    assert "rule a is to have no network (`resources: network=False`)" in done.output
    assert "it is neither in a container nor closed off" in done.output
    assert not (workspace.root / "a.txt").exists()


def test_the_idle_container_ends_with_its_worker(
    alone: Workspace, engine: Engine, small: str
) -> None:
    """The fixture looks whether it is gone."""
    alone.write(
        "Snakefile",
        f"rule a:\n    output: 'a.txt'\n    container: 'docker://{small}'\n"
        "    shell: 'touch started; sleep 1000'\n",
    )
    process = alone.start(*NONE, "--ray-resubmissions", "0")
    wait_for((alone.root / "started").exists, what="the job")
    assert len(ours(engine)) == 2
    [pid] = descendants(process.pid, "ray::execute")
    kill(pid)
    process.communicate(timeout=60)
    assert process.returncode != 0


def _job(root: Path, image: str, network: str, text: str) -> ContainerJob:
    return ContainerJob(
        image=image,
        command=supervised(  # noqa: S604
            log=str(root / "log"), usage=str(root / "usage"), shell="sh", text=text
        ),
        workdir="/",
        binds=(Bind(source=str(root), target=str(root), read_only=False),),
        variables={},
        user=f"{os.getuid()}:{os.getgid()}",
        cpus=1,
        network=network,
    )


def test_jobs_share_a_network_and_get_another_when_it_died(
    engine: Engine, small: str, tmp_path: Path, network: EmptyNetwork
) -> None:
    engine.pull(small)

    def joined() -> str:
        found = network.mode(small)
        assert run(engine, _job(tmp_path, small, found, "cat /proc/net/dev")) == (0, "")
        assert re.findall(r"(\w+):", (tmp_path / "log").read_text()) == ["lo"]
        (tmp_path / "log").unlink()
        return found

    first = joined()
    assert joined() == first
    [idle] = wait_for(lambda: found if len(found := ours(engine)) == 1 else None, what="one")
    engine.client.api.kill(idle)
    wait_for(lambda: not ours(engine), what="the end of the idle container")
    assert joined() != first


def test_an_idle_container_that_cannot_be_made_is_an_error_and_leaves_nothing(
    engine: Engine, small: str, network: EmptyNetwork
) -> None:
    with pytest.raises(EnvironmentBuildError, match="cannot be made"):
        network.mode(f"{small}-not-there")
    engine.pull(small)
    assert network.mode(small).startswith("container:")
