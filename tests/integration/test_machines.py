"""A cluster of machines that share a wire and no directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import another_node, can_hide, hiding, ray_cluster
from machines import Machine, can_network, wired
from runs import Workspace

from snakemake_repro.records import JobState, Tier

pytestmark = pytest.mark.integration

SNAKEFILE = """
rule all:
    input: "out/last.txt", "out/grouped.txt"
rule first:
    output: "out/first.bin"
    log: "logs/first.log"
    resources: ray_east=1
    shell: "seq 4000000 > {output}; hostname -I > {log}; test ! -e undeclared"
rule second:
    input: "out/first.bin"
    output: directory("out/parts"), temp("out/passing.txt")
    log: "logs/second.log"
    resources: ray_west=1
    shell:
        "mkdir -p {output[0]}/inner; split -n 4 {input} {output[0]}/inner/; tail -n 1 {input} > {output[1]};"
        "hostname -I > {log}; test ! -e undeclared"
rule run:
    input: "out/parts", "out/passing.txt"
    output: "out/run.txt"
    log: "logs/run.log"
    resources: ray_east=1
    run:
        import hashlib, pathlib
        parts = sorted(pathlib.Path(input[0]).rglob("*"))
        text = "".join(hashlib.sha256(p.read_bytes()).hexdigest() for p in parts if p.is_file())
        pathlib.Path(output[0]).write_text(text + pathlib.Path(input[1]).read_text())
        shell("hostname -I > {log}")
rule last:
    input: "out/run.txt", "out/first.bin"
    output: "out/last.txt"
    log: "logs/last.log"
    resources: ray_west=1
    script: "scripts/last.py"
rule one:
    input: "out/first.bin"
    output: pipe("out/pipe")
    group: "together"
    shell: "head -n 1000 {input} > {output}"
rule other:
    input: "out/pipe"
    output: "out/grouped.txt"
    group: "together"
    shell: "sha256sum < {input} > {output}"
"""
SCRIPT = """
import hashlib, subprocess
first, second = (open(path, "rb").read() for path in snakemake.input)
with open(snakemake.output[0], "w") as file:
    file.write(first.decode() + hashlib.sha256(second).hexdigest())
with open(snakemake.log[0], "w") as log:
    subprocess.run(["hostname", "-I"], stdout=log, check=True)
"""


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hidden")


@pytest.fixture(scope="module")
def machines() -> Iterator[list[Machine]]:
    if not (can_network() and can_hide()):
        pytest.skip("machines need the right to make network and mount namespaces, and iproute2")
    with wired(3) as made:
        yield made


def _write(workspace: Workspace, snakefile: str) -> None:
    workspace.write("Snakefile", snakefile)
    workspace.write("scripts/last.py", SCRIPT)
    workspace.write("undeclared", "nobody sees me")


def test_machines_that_share_a_wire_make_what_one_machine_makes(
    tmp_path: Path, hidden: Path, machines: list[Machine]
) -> None:
    head, east, west = machines
    here = Workspace(tmp_path / "local")
    here.root.mkdir()
    _write(here, SNAKEFILE.replace("test ! -e undeclared", "true"))
    here.ok(executor="local")
    log = tmp_path / "cluster.log"
    with (
        ray_cluster(0, log, machine=head) as cluster,
        another_node(
            cluster,
            *(*east.through, *hiding(hidden)),
            address=east.address,
            resources={"east": 1},
            log=log,
        ),
        another_node(
            cluster,
            *(*west.through, *hiding(hidden)),
            address=west.address,
            resources={"west": 1},
            log=log,
        ),
    ):
        apart = Workspace(hidden / "work", cluster)
        apart.root.mkdir()
        _write(apart, SNAKEFILE)
        done = apart.run(
            *("--shared-fs-usage", "none"),
            through=lambda command: [*head.through, *command],
        )
    assert done.status == 0, done.output
    assert "on 3 node(s) without a shared file system" in done.output
    assert _files(apart.root / "out") == _files(here.root / "out")
    seen = {path.stem: path.read_text().strip() for path in apart.root.glob("logs/*.log")}
    assert seen == {
        "first": east.address,
        "second": west.address,
        "run": east.address,
        "last": west.address,
    }
    jobs = {job.record.spec.rule: job for job in apart.history.jobs}
    assert {job.state for job in jobs.values()} == {JobState.ACCEPTED}
    assert {rule for rule, job in jobs.items() if job.record.tier is Tier.FORK} == {
        "run", "one", "other",
    }  # fmt: skip


def _files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".snakemake_timestamp"
    }
