"""Notebooks run with the Jupyter of their rule's environment, in the direct tier, in every kind."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conda_channel import make_channel, serve
from containers import Registry, make_image
from runs import Workspace

from snakemake_repro.backends.environments.lockfile import lock_path, resolve_spec
from snakemake_repro.backends.environments.store import NodeEnvironments
from snakemake_repro.operations.lock import lock
from snakemake_repro.records import EnvironmentKind, JobState, Tier

pytestmark = pytest.mark.integration

YAML = "dependencies: [python, {pip: [nbconvert, ipykernel, tabulate ==0.9.0]}]\n"

RULE = """
rule {name}:
    input: data="in.txt"
    output: "{name}.txt"
    log: notebook="logs/{name}.ipynb"
    params: depth=[1, 2]
    {environment}
    notebook: "notebooks/work.py.ipynb"
rule quiet_{name}:
    input: data="in.txt"
    output: "quiet_{name}.txt"
    params: depth=[1, 2]
    {environment}
    notebook: "notebooks/work.py.ipynb"
"""


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An environment file with Jupyter, locked, and the store in which it is built."""
    root = tmp_path_factory.mktemp("jupyter")
    path = root / "x.yaml"
    path.write_text(YAML)
    lock([path])
    NodeEnvironments(root / "store").realise(resolve_spec(path, root))
    return path, root / "store"


def _notebook(*cells: str) -> str:
    made = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell{number}",
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(cells)
    ]
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def _prepare(workspace: Workspace, **environments: str) -> None:
    workspace.write("in.txt", "input")
    text = _notebook(
        "import helper\nsnakemake.params.depth",
        "text = f'{snakemake.rule[-3:]} {snakemake.params.depth} {open(snakemake.input.data).read()} "
        "{helper.VALUE} {snakemake.log!r}'",
        "with open(snakemake.output[0], 'w') as file:\n    file.write(text)",
    )
    workspace.write("notebooks/work.py.ipynb", text)
    workspace.write("notebooks/helper.py", "VALUE = 7\n")
    rules = [RULE.format(name=name, environment=line) for name, line in environments.items()]
    wanted = ", ".join(f"'{name}.txt', 'quiet_{name}.txt'" for name in environments)
    workspace.write("Snakefile", f"rule all:\n    input: {wanted}\n" + "".join(rules))


def _cells(path: Path) -> list[tuple[str, Any]]:
    """Return what cells show, without the first: it holds Snakemake's object, pickled."""
    cells = json.loads(path.read_text())["cells"]
    return [(cell["source"], cell["outputs"]) for cell in cells[1:]]


def _check(workspace: Workspace, name: str) -> None:
    root = workspace.root
    for rule, log in ((name, f"logs/{name}.ipynb"), (f"quiet_{name}", None)):
        text = (root / f"{rule}.txt").read_text()
        assert text.startswith(f"{rule[-3:]} [1, 2] input 7 ")
        job = workspace.job(rule)
        assert (job.state, job.record.tier) == (JobState.ACCEPTED, Tier.DIRECT)
        assert job.record.spec.kind == "notebook"
        if log is not None:
            cells = _cells(root / log)
            assert cells[0][1][0]["data"] == {"text/plain": ["[1, 2]"]}
            assert "tags" in json.loads((root / log).read_text())["cells"][0]["metadata"]
    assert not list((root / ".snakemake/scripts").iterdir())


def _with_jupyter(workspace: Workspace, jupyter: tuple[Path, Path], name: str) -> None:
    file = workspace.root / name
    file.parent.mkdir(exist_ok=True)
    for path in (jupyter[0], lock_path(jupyter[0])):
        shutil.copy(path, file.with_name(path.name.replace("x.", f"{file.stem}.", 1)))


def test_a_notebook_runs_in_its_locked_environment(
    workspace: Workspace, jupyter: tuple[Path, Path]
) -> None:
    _with_jupyter(workspace, jupyter, "envs/nb.yaml")
    _prepare(workspace, open="conda: 'envs/nb.yaml'")
    workspace.ok("--ray-environment-store", str(jupyter[1]))
    _check(workspace, "open")


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_a_notebook_runs_hermetically(workspace: Workspace, jupyter: tuple[Path, Path]) -> None:
    _with_jupyter(workspace, jupyter, "envs/nb.yaml")
    _prepare(workspace, closed="conda: 'envs/nb.yaml'")
    workspace.ok("--ray-environment-store", str(jupyter[1]), "--ray-hermetic", "enforce")
    _check(workspace, "closed")
    assert workspace.job("closed").record.isolation is not None


@pytest.fixture(scope="module")
def image(jupyter: tuple[Path, Path], registry: Registry) -> str:
    """An image with Python and what the environment holds."""
    image = make_image("wheels", label="jupyter", locks=(lock_path(jupyter[0]),))
    registry.push(image, "lab/jupyter", "1")
    return f"{registry.host}/lab/jupyter:1"


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_a_notebook_runs_in_a_container(workspace: Workspace, image: str, closed: bool) -> None:  # noqa: FBT001
    _prepare(workspace, boxed=f"container: 'docker://{image}'")
    workspace.ok(*(("--ray-hermetic", "enforce") if closed else ()))
    _check(workspace, "boxed")
    record = workspace.job("boxed").record
    assert (record.isolation is not None) is closed
    environment = workspace.history.environments[str(record.spec.environment)]
    assert environment.kind is EnvironmentKind.CONTAINER


def test_a_notebook_runs_in_a_conda_environment(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serve(make_channel(tmp_path_factory.mktemp("channel"))) as url:
        workspace.write(
            "envs/nb.yaml",
            f"""
            channels: [{url}]
            dependencies: [python, tool, {{pip: [nbconvert, ipykernel]}}]
            """,
        )
        _prepare(workspace, conda="conda: 'envs/nb.yaml'")
        workspace.ok("--ray-environment-store", str(workspace.root / "store"))
    _check(workspace, "conda")
    environment = workspace.job("conda").record.spec.environment
    assert workspace.history.environments[str(environment)].kind is EnvironmentKind.CONDA


def test_a_notebook_on_the_host_shows_what_it_shows_without_us(
    lonely: Workspace, jupyter: tuple[Path, Path]
) -> None:
    [prefix] = [path.with_suffix("") for path in jupyter[1].glob("*.ok")]
    search = {"PATH": f"{prefix}/bin:{os.environ['PATH']}"}
    _prepare(lonely, host="")
    lonely.ok(env=search)
    _check(lonely, "host")
    cells, text = _cells(lonely.root / "logs/host.ipynb"), (lonely.root / "host.txt").read_bytes()
    lonely.ok("--forceall", executor="local", env=search)
    assert _cells(lonely.root / "logs/host.ipynb") == cells
    assert (lonely.root / "host.txt").read_bytes() == text


def test_the_jupyter_of_the_host_takes_no_place_in_an_environment(
    lonely: Workspace, jupyter: tuple[Path, Path]
) -> None:
    [prefix] = [path.with_suffix("") for path in jupyter[1].glob("*.ok")]
    search = {"PATH": f"{prefix}/bin:{os.environ['PATH']}"}
    lonely.write("envs/bare.yaml", "dependencies: [python]\n")
    _prepare(lonely, bare="conda: 'envs/bare.yaml'")
    done = lonely.fails("bare.txt", env=search)
    assert "the job's environment has no jupyter-nbconvert" in done.output
    assert not (lonely.root / "bare.txt").exists()
