"""R and bash scripts get their ``snakemake`` object in every kind of environment."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conda_channel import make_channel, serve
from containers import Registry, make_image
from runs import Workspace

from snakemake_repro.records import JobState, Tier

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R"),
]

WORK_R = """
stopifnot(snakemake@params[["depth"]] == c(1, 2), snakemake@threads == 1, !is.null(snakemake))
text <- readLines(snakemake@input[["data"]])
of <- Sys.getenv("R_OF", "nobody")
cat(paste(snakemake@rule, text, snakemake@config[["key"]], of), file = snakemake@output[[1]])
"""

WORK_SH = """
#!/bin/bash
[[ "${snakemake_params[greeting]}" == hi ]]
read -r text < "${snakemake_input[data]}" || true
printf '%s %s %s' "${snakemake[rule]}" "$text" "${snakemake_config[key]}" > "${snakemake_output[0]}"
"""

RULE = """
rule {name}:
    input: data="in.txt"
    output: "out/{name}.txt"
    params: depth=[1, 2], greeting="hi"
    {environment}
    script: "scripts/{script}"
"""


@pytest.fixture(scope="module")
def r(registry: Registry) -> str:
    """An image with R, by tag."""
    registry.push(make_image("r", label="r"), "lab/r", "1")
    return f"{registry.host}/lab/r:1"


def _prepare(workspace: Workspace, **environments: str) -> list[str]:
    workspace.write("in.txt", "input\n")
    workspace.write("scripts/work.R", WORK_R)
    workspace.write("scripts/work.sh", WORK_SH.lstrip())
    scripts = {"r": "work.R", "bash": "work.sh"}
    rules = [
        RULE.format(name=name, environment=line, script=scripts[name.partition("_")[0]])
        for name, line in environments.items()
    ]
    workspace.write("Snakefile", 'config["key"] = "value"\n' + "".join(rules))
    return [f"out/{name}.txt" for name in environments]


def _locked(workspace: Workspace, url: str) -> None:
    workspace.write("envs/r.yaml", f"channels: [{url}]\ndependencies: [rscript]\n")
    workspace.write("envs/tool.yaml", f"channels: [{url}]\ndependencies: [tool]\n")
    workspace.write("envs/pip.yaml", "dependencies: [python]\n")


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_scripts_of_other_languages_know_their_job_in_every_environment(
    workspace: Workspace,
    r: str,
    small: str,
    tmp_path_factory: pytest.TempPathFactory,
    closed: bool,  # noqa: FBT001
) -> None:
    if closed and shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    outputs = _prepare(
        workspace,
        r_host="",
        r_conda="conda: 'envs/r.yaml'",
        r_container=f"container: 'docker://{r}'",
        bash_host="",
        bash_pip="conda: 'envs/pip.yaml'",
        bash_conda="conda: 'envs/tool.yaml'",
        bash_container=f"container: 'docker://{small}'",
    )
    with serve(make_channel(tmp_path_factory.mktemp("channel"))) as url:
        _locked(workspace, url)
        options = ["--ray-hermetic", "enforce"] if closed else []
        workspace.ok(
            *("--ray-environment-store", str(workspace.root / "store")), *options, "--", *outputs
        )
    for output in outputs:
        name = Path(output).stem
        owner = {"r_conda": " environment", "bash": ""}
        expected = owner.get(name, owner.get(name.partition("_")[0], " nobody"))
        assert (workspace.root / output).read_text() == f"{name} input value{expected}"
        job = workspace.job(name)
        assert (job.state, job.record.tier) == (JobState.ACCEPTED, Tier.DIRECT)
        assert (job.record.isolation is not None) is closed
    assert not list((workspace.root / ".snakemake/scripts").iterdir())


def test_the_r_of_the_host_takes_no_place_in_an_environment(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outputs = _prepare(workspace, r_tool="conda: 'envs/tool.yaml'", r_pip="conda: 'envs/pip.yaml'")
    with serve(make_channel(tmp_path_factory.mktemp("channel"))) as url:
        _locked(workspace, url)
        store = ("--ray-environment-store", str(workspace.root / "store"))
        done = workspace.fails("--keep-going", *store, "--", *outputs)
    said = "the job's environment has no Rscript, and that of the host is not used"
    assert done.output.count(said) == len(outputs)
    assert not (workspace.root / "out").exists() or not list((workspace.root / "out").iterdir())
