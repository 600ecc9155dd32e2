"""Hermetic jobs may have shadow directories and benchmarks, in a room as in a container."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from runs import Workspace

from snakemake_repro.records import IsolationMode, JobStatus

pytestmark = pytest.mark.integration

ENFORCE = ("--ray-hermetic",)
"""Which is short for ``enforce``."""
SHADOWS = ("minimal", "copy-minimal", "shallow", "full")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Closed:
    """Where hermetic jobs run.

    Attributes:
        directive: That brings a job there.
        contained: It is a container.
    """

    directive: str
    contained: bool


@pytest.fixture(params=["room", "container"])
def closed(request: pytest.FixtureRequest) -> Closed:
    """A room on the host, then a container with Python."""
    if request.param == "container":
        image = request.getfixturevalue("python")
        return Closed(directive=f"container: 'docker://{image}'", contained=True)
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    return Closed(directive="", contained=False)


def _text(workspace: Workspace, name: str) -> str:
    return (workspace.root / name).read_text()


def _files(root: Path) -> set[str]:
    """Return what lies in a working directory, but for what Snakemake and the record keep."""
    found = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    shown = {str(path) for path in found if not any(part.startswith(".") for part in path.parts)}
    return shown - {"Snakefile", "envs/containers.lock.yml"}


def _nothing_is_left(workspace: Workspace) -> bool:
    left = [p for p in workspace.root.rglob("*") if ".repro-" in p.name or p.name == "stage"]
    return left == [] and not list(workspace.root.glob(".snakemake/shadow/*"))


@pytest.mark.parametrize("tracing", ["auto", "off"])
def test_a_shadow_job_writes_where_it_likes_and_its_outputs_are_kept(
    workspace: Workspace, closed: Closed, tracing: str
) -> None:
    workspace.write("data/deep/in.txt", "in\n")
    workspace.write("data/undeclared.txt", "undeclared\n")
    workspace.write("top.txt", "top\n")
    rules = [
        f"""
rule {depth.replace("-", "_")}:
    input: "data/deep/in.txt", "top.txt"
    output: "out/{depth}.txt", directory("out/{depth}.d"), link="{depth}.link"
    log: "logs/{depth}.log"
    shadow: "{depth}"
    {closed.directive}
    shell:
        "set -e; pwd > {{log}}; for f in left-behind data/left data/deep/left out/left new; "
        "do echo x > $f; cat $f > /dev/null; done; mkdir -p some/where; echo x > some/where/else; "
        "cat {{input}} > {{output[0]}}; find . -name 'un*.txt' >> {{output[0]}};"
        "mkdir {{output[1]}}; echo y > {{output[1]}}/y; ln -s out/{depth}.txt {{output.link}}"
"""
        for depth in SHADOWS
    ]
    rules.append(
        f"""
rule failing:
    output: "failed.txt"
    log: "logs/failing.log"
    shadow: "minimal"
    {closed.directive}
    shell: "echo said > {{log}}; echo x > left; touch {{output}}; exit 3"
"""
    )
    workspace.write("Snakefile", "".join(rules))
    before = _files(workspace.root)
    links = [f"{depth}.link" for depth in SHADOWS]
    workspace.ok(*ENFORCE, "--ray-hermetic-trace", tracing, *links)
    made = {f"out/{depth}.txt" for depth in SHADOWS} | {f"out/{depth}.d/y" for depth in SHADOWS}
    assert _files(workspace.root) - before == made | {f"logs/{d}.log" for d in SHADOWS} | {*links}
    for depth in SHADOWS:
        assert _text(workspace, f"{depth}.link") == "in\ntop\n"
        assert _text(workspace, f"logs/{depth}.log") == f"{workspace.root}\n"
        record = workspace.job(depth.replace("-", "_")).record
        assert (record.status, record.violations) == (JobStatus.SUCCEEDED, ())
        assert record.isolation is not None
        assert record.isolation.mode is IsolationMode.ENFORCE
        assert {Path(file.path).name for file in record.outputs if file.digest} == {
            f"{depth}.txt",
            f"{depth}.d",
            f"{depth}.link",
        }
    workspace.fails(*ENFORCE, "--ray-hermetic-trace", tracing, "failed.txt")
    assert _text(workspace, "logs/failing.log") == "said\n"
    assert not (workspace.root / "failed.txt").exists()
    assert _nothing_is_left(workspace)


def test_shadow_jobs_see_thousands_of_inputs_and_change_none(
    workspace: Workspace, closed: Closed
) -> None:
    for number in range(1_000):
        path = workspace.root / f"many/{number % 10}/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    workspace.write(
        "Snakefile",
        f"""
        rule count:
            input: [f"many/{{n % 10}}/{{n}}.txt" for n in range(1_000)]
            output: "many/0/count.txt"
            shadow: "minimal"
            {closed.directive}
            shell:
                "cat many/*/[0-9]*.txt | wc -l > {{output}}; rm -f many/1/1.txt || true;"
                "(echo x >> many/2/2.txt) 2> /dev/null || true; touch many/3/left"
        """,
    )
    workspace.ok(*ENFORCE, "--ray-hermetic-trace", "off")
    assert _text(workspace, "many/0/count.txt").strip() == "1000"
    assert _text(workspace, "many/1/1.txt") == "1\n"
    assert _text(workspace, "many/2/2.txt") == "2\n"
    assert not (workspace.root / "many/3/left").exists()
    assert workspace.job("count").record.integrity == ()


@needs_strace
def test_a_shadow_job_is_held_to_what_it_declares(workspace: Workspace) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    workspace.write("data/extra.txt", "extra\n")
    workspace.write("data/in.txt", "in\n")
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "minimal.txt", "shallow.txt", "script.txt"
        rule script:
            input: "data/in.txt"
            output: "script.txt"
            shadow: "minimal"
            benchmark: "script.tsv"
            script: "scripts/work.py"
        rule minimal:
            input: "data/in.txt"
            output: "minimal.txt"
            shadow: "minimal"
            shell: "echo > left; cat left {input} > {output}; test ! -e data/extra.txt"
        rule shallow:
            input: "data/in.txt"
            output: "shallow.txt"
            shadow: "shallow"
            shell:
                "echo > left; cat left {input} > {output}; cat data/extra.txt || true;"
                "echo > data/left || true"
        """,
    )
    workspace.write("scripts/helper.py", "VALUE = 'helped'\n")
    workspace.write(
        "scripts/work.py",
        """
        import helper
        open("left", "w").write(helper.VALUE)
        open(snakemake.output[0], "w").write(open(snakemake.input[0]).read() + open("left").read())
        """,
    )
    read = "read data/extra.txt, which it does not declare"
    workspace.fails(*ENFORCE, "--keep-going")
    assert workspace.job("minimal").record.violations == (read,)
    assert workspace.job("shallow").record.violations == (read,)
    assert workspace.job("script").record.violations == ()
    assert _text(workspace, "script.txt") == "in\nhelped"
    # a report leaves the shadow directory as it is; `minimal` has no such file in it
    workspace.ok("--ray-hermetic", "report", "--forceall")
    assert workspace.job("script").record.violations == ()
    assert _text(workspace, "script.txt") == "in\nhelped"
    assert workspace.job("minimal").record.violations == ()
    assert workspace.job("shallow").record.violations == (
        read,
        "wrote data/left, which it does not declare",
    )
    assert (workspace.root / "data/left").exists()
    assert _nothing_is_left(workspace)


def test_shadow_directories_elsewhere_are_no_hindrance(workspace: Workspace) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    workspace.write(
        "Snakefile",
        """
        rule one:
            output: "one.txt"
            shadow: "minimal"
            shell: "touch left {output}"
        """,
    )
    workspace.ok(*ENFORCE, "--shadow-prefix", str(workspace.root / "shadows"))
    assert _files(workspace.root) == {"one.txt"}


WORK = "open(snakemake.output[0], 'a').write(f'{snakemake.bench_iteration} ')\n"
BENCHMARKS = """
rule all:
    input: "out/shell.txt", "out/script.txt", "out/short.txt"
rule shell:
    input: "in.txt"
    output: "out/shell.txt"
    benchmark: repeat("bench/shell.tsv", 2)
    {directive}
    shell: "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 0.7; cat {{input}} >> {{output}}"
rule script:
    output: "out/script.txt"
    benchmark: repeat("bench/script.jsonl", 3)
    shadow: "minimal"
    {directive}
    script: "scripts/work.py"
rule short:
    output: "out/short.txt"
    benchmark: repeat("out/short.tsv", 5)
    {directive}
    shell: "touch {{output}}"
"""


@pytest.mark.parametrize("tracing", ["auto", "off"])
def test_benchmarks_are_what_the_job_used(
    workspace: Workspace, closed: Closed, tracing: str
) -> None:
    workspace.write("in.txt", "in\n")
    workspace.write("scripts/work.py", WORK)
    workspace.write("Snakefile", BENCHMARKS.format(directive=closed.directive))
    workspace.ok(*ENFORCE, "--ray-hermetic-trace", tracing, "--benchmark-extended")
    assert _text(workspace, "out/shell.txt") == "in\nin\n"
    assert _text(workspace, "out/script.txt") == "0 1 2 "
    header, *rows = (line.split("\t") for line in _text(workspace, "bench/shell.tsv").splitlines())
    assert len(rows) == 2
    for row in rows:
        shown = dict(zip(header, row, strict=True))
        assert 0.7 < float(shown["s"]) < 60
        assert float(shown["cpu_time"]) > 0
        # a shell, and not what closes it off and watches it
        assert closed.contained or 0 < float(shown["max_rss"]) < 8
        assert shown["rule_name"] == "shell"
    lines = [json.loads(line) for line in _text(workspace, "bench/script.jsonl").splitlines()]
    assert [line["rule_name"] for line in lines] == ["script"] * 3
    assert len(_text(workspace, "out/short.tsv").splitlines()) == 6
    for rule in ("shell", "script", "short"):
        record = workspace.job(rule).record
        assert (record.status, record.violations) == (JobStatus.SUCCEEDED, ())
        assert record.isolation is not None
        assert record.use is not None
    assert _nothing_is_left(workspace)
    assert not list((workspace.root / ".snakemake").glob("scripts/*"))


def test_a_job_that_is_not_accepted_leaves_no_benchmark(
    workspace: Workspace, closed: Closed
) -> None:
    workspace.write(
        "Snakefile",
        f"""
        rule beside:
            output: "beside.txt"
            benchmark: "bench/beside.tsv"
            {closed.directive}
            shell: "touch {{output}} undeclared.txt"
        rule failing:
            output: "failing.txt"
            benchmark: repeat("bench/failing.tsv", 2)
            log: "logs/failing.log"
            {closed.directive}
            shell: "echo once >> {{log}}; exit 3"
        """,
    )
    done = workspace.fails(*ENFORCE, "--keep-going", "beside.txt", "failing.txt")
    assert "it wrote undeclared.txt, which it does not declare" in done.output
    assert workspace.job("failing").record.exit_code == 3
    assert _files(workspace.root) == {"logs/failing.log"}
    assert _text(workspace, "logs/failing.log") == "once\n"
    assert _nothing_is_left(workspace)


@needs_strace
def test_a_report_watches_a_benchmark_every_time(workspace: Workspace) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    workspace.write("extra.txt", "extra\n")
    workspace.write(
        "Snakefile",
        """
        rule one:
            output: "one.txt"
            benchmark: repeat("bench/one.tsv", 2)
            shell: "if [ -e {output} ]; then cat extra.txt; fi; echo x >> {output}; sleep 0.6"
        """,
    )
    workspace.ok("--ray-hermetic", "report")
    assert workspace.job("one").record.violations == ("read extra.txt, which it does not declare",)
    assert len(_text(workspace, "bench/one.tsv").splitlines()) == 3
