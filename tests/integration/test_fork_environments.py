"""Rules of the fork tier in containers, conda and PyPI environments: each in its own, recorded."""

from __future__ import annotations

import contextlib
import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from places import Place, kinds_of
from processes import descendants, kill, wait_for
from runs import Workspace

from snakemake_repro.backends.containers import owners
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.records import EnvironmentKind, JobState, Tier

pytestmark = pytest.mark.integration


@pytest.fixture
def inside(workspace: Workspace, place: Place, engine: Engine) -> Iterator[Workspace]:
    """A working directory with the environment's files, whose runs leave no container behind."""
    place.link(workspace)
    yield workspace
    wait_for(
        lambda: not _containers(engine, workspace), timeout=10, what="the end of every container"
    )


def _containers(engine: Engine, workspace: Workspace) -> list[Any]:
    found = engine.client.containers.list(
        all=True, filters={"label": owners.LABEL}, ignore_removed=True
    )
    root = str(workspace.root)
    return [one for one in found if one.attrs["Config"]["WorkingDir"].startswith(root)]


def _text(workspace: Workspace, name: str) -> str:
    return (workspace.root / name).read_text()


def test_members_of_a_group_run_each_in_its_own_environment(
    inside: Workspace, place: Place, container_place: Place, pypi_place: Place
) -> None:
    pypi_place.link(inside)
    inside.write("scripts/work.py", f"open(snakemake.output[0], 'w').write({place.code})\n")
    inside.write(
        "Snakefile",
        f"""
        rule all:
            input: "d.txt"
        rule a:
            output: "a.txt"
            group: "g"
            {place.directive}
            params: text="it's here"
            threads: 2
            shell: "{place.who} > {{output}}; echo {{params.text:q}} $OMP_NUM_THREADS >> {{output}}"
        rule b:
            input: "a.txt"
            output: "b.txt"
            group: "g"
            {place.directive}
            script: "scripts/work.py"
        rule c:
            input: "b.txt"
            output: "c.txt"
            group: "g"
            shell: "cat {{input}} > {{output}}; ls /etc/label >> {{output}} 2>/dev/null || echo host >> {{output}}"
        rule d:
            input: "a.txt", "c.txt"
            output: "d.txt"
            group: "g"
            {(pypi_place if place is container_place else container_place).directive}
            shell: "cat {{input}} > {{output}}; touch $TMPDIR/x {{resources.tmpdir}}/y; echo said >&2"
        """,
    )
    inside.ok()
    assert _text(inside, "a.txt") == f"{place.said}\nit's here 2\n"
    assert _text(inside, "b.txt") == place.said
    assert _text(inside, "c.txt") == f"{place.said}host\n"
    assert _text(inside, "d.txt") == _text(inside, "a.txt") + _text(inside, "c.txt")
    other = pypi_place if place is container_place else container_place
    kinds = kinds_of(inside)
    assert [kinds[rule] for rule in "abcd"] == [
        place.kind,
        place.kind,
        EnvironmentKind.HOST,
        other.kind,
    ]
    records = [job.record for job in inside.history.jobs if job.record.group]
    assert len(records) == 4
    assert {record.tier for record in records} == {Tier.FORK}
    assert all(job.state is JobState.ACCEPTED for job in inside.history.jobs)
    [log] = {record.log.path for record in records if record.log}
    assert "said\n" in _text(inside, log)


def test_pipes_and_services_run_inside(inside: Workspace, place: Place) -> None:
    inside.write(
        "Snakefile",
        f"""
        rule all:
            input: "piped.txt", "served.txt"
        rule producer:
            output: pipe("pipe")
            {place.directive}
            shell: "{place.who} > {{output}}"
        rule consumer:
            input: "pipe"
            output: "piped.txt"
            {place.directive}
            shell: "cat {{input}} > {{output}}; {place.who} >> {{output}}"
        rule server:
            output: service("served")
            {place.directive}
            shell: "{place.who} > {{output}}; sleep 100"
        rule client:
            input: "served"
            output: "served.txt"
            {place.directive}
            shell: "cat {{input}} > {{output}}"
        """,
    )
    # a container takes its time to begin
    done = inside.ok("--latency-wait", "30")
    assert _text(inside, "piped.txt") == f"{place.said}\n" * 2
    assert _text(inside, "served.txt") == f"{place.said}\n"
    assert done.seconds < 60, "the service was ended"
    kinds = kinds_of(inside)
    assert {kinds[rule] for rule in ("producer", "consumer", "server", "client")} == {place.kind}


def test_a_service_that_never_begins_fails_with_those_who_wait_for_it(
    inside: Workspace, place: Place
) -> None:
    inside.write(
        "Snakefile",
        f"""
        rule server:
            output: service("served")
            {place.directive}
            shell: "{place.who}; sleep 1000"
        rule client:
            input: "served"
            output: "served.txt"
            {place.directive}
            shell: "cat {{input}} > {{output}}"
        """,
    )
    inside.fails("served.txt")
    [log] = {job.record.log.path for job in inside.history.jobs if job.record.log}
    assert "Missing files after 2 seconds" in _text(inside, log)


def test_the_shell_calls_of_a_run_rule_run_inside(inside: Workspace, place: Place) -> None:
    inside.write(
        "Snakefile",
        f"""
        rule a:
            output: "a.txt"
            {place.directive}
            run:
                shell("{place.who} > {{output}}; echo here $OMP_NUM_THREADS >> {{output}}")
                read = shell("{place.who}; echo second", read=True)
                lines = list(shell("echo one; echo two", iterable=True))
                with open(output[0], "a") as file:
                    file.write(read + " ".join(lines))
        """,
    )
    inside.ok()
    assert _text(inside, "a.txt") == f"{place.said}\nhere 1\n{place.said}\nsecond\none two"
    assert kinds_of(inside) == {"a": place.kind}
    assert inside.job("a").record.tier is Tier.FORK


def test_a_failing_command_fails_its_job(inside: Workspace, place: Place) -> None:
    inside.write(
        "Snakefile",
        f"""
        rule a:
            output: "a.txt"
            {place.directive}
            run:
                shell("{place.who} > {{output}}; echo the reason is this >&2; false; echo no >&2")
        """,
    )
    done = inside.fails()
    assert "the reason is this" in done.output
    assert not (inside.root / "a.txt").exists()


@pytest.mark.parametrize(
    ("place", "depth"),
    [
        *(("container", depth) for depth in ("minimal", "shallow", "full", "copy-minimal", True)),
        *((kind, depth) for kind in ("conda", "pypi") for depth in ("minimal", "full")),
    ],
    indirect=["place"],
)
def test_shadow_rules_leave_nothing_but_their_outputs(
    inside: Workspace, place: Place, depth: object
) -> None:
    inside.write("scripts/work.py", f"open(snakemake.output[0], 'w').write({place.code})\n")
    inside.write("in/input.txt", "input\n")
    inside.write(
        "Snakefile",
        f"""
        rule all:
            input: "out/a.txt", "out/b.txt"
        rule a:
            input: "in/input.txt"
            output: "out/a.txt"
            shadow: {depth!r}
            {place.directive}
            shell: "touch left-behind; cat {{input}} > {{output}}; {place.who} >> {{output}}; pwd >> {{output}}"
        rule b:
            output: "out/b.txt"
            shadow: {depth!r}
            {place.directive}
            script: "scripts/work.py"
        """,
    )
    inside.ok()
    first, who, where = _text(inside, "out/a.txt").splitlines()
    assert (first, who) == ("input", place.said)
    assert "/.snakemake/shadow/" in where
    assert _text(inside, "out/b.txt") == place.said
    assert not (inside.root / "left-behind").exists()
    assert not list((inside.root / ".snakemake/shadow").iterdir())
    kinds = kinds_of(inside)
    assert (kinds["a"], kinds["b"]) == (place.kind, place.kind)
    tiers = {job.record.spec.rule: job.record.tier for job in inside.history.jobs}
    assert (tiers["a"], tiers["b"]) == (Tier.DIRECT, Tier.DIRECT)
    [made] = inside.job("a").record.outputs
    text = (inside.root / made.path).read_bytes()
    assert str(made.digest) == f"sha256:{hashlib.sha256(text).hexdigest()}"


def test_shadow_rules_of_a_group_run_inside(inside: Workspace, place: Place) -> None:
    inside.write(
        "Snakefile",
        f"""
        rule all:
            input: "out/b.txt"
        rule a:
            output: "out/a.txt"
            shadow: "minimal"
            group: "g"
            {place.directive}
            shell: "touch left-behind; {place.who} > {{output}}; pwd >> {{output}}"
        rule b:
            input: "out/a.txt"
            output: "out/b.txt"
            shadow: "minimal"
            group: "g"
            {place.directive}
            run:
                shell("cat {{input}} > {{output}}; {place.who} >> {{output}}")
        """,
    )
    inside.ok()
    who, where, again = _text(inside, "out/b.txt").splitlines()
    assert (who, again) == (place.said, place.said)
    assert "/.snakemake/shadow/" in where
    assert not (inside.root / "left-behind").exists()
    assert {job.record.tier for job in inside.history.jobs} == {Tier.FORK}


@pytest.mark.parametrize("options", [(), ("--ray-tier", "fork")], ids=["direct", "fork"])
def test_benchmarks_show_what_the_job_used(
    inside: Workspace, place: Place, options: tuple[str, ...]
) -> None:
    busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
    inside.write("scripts/work.py", f"open(snakemake.output[0], 'w').write({place.code})\n")
    inside.write(
        "Snakefile",
        f"""
        rule all:
            input: "a.txt", "b.txt"
        rule a:
            output: "a.txt"
            benchmark: repeat("a.tsv", 2)
            {place.directive}
            shell: "{busy}; {place.who} > {{output}}; sleep 0.6"
        rule b:
            output: "b.txt"
            benchmark: "b.jsonl"
            {place.directive}
            script: "scripts/work.py"
        """,
    )
    inside.ok("--benchmark-extended", *options)
    assert (_text(inside, "a.txt"), _text(inside, "b.txt")) == (f"{place.said}\n", place.said)
    header, *rows = (line.split("\t") for line in _text(inside, "a.tsv").splitlines())
    assert header[:4] == ["s", "h:m:s", "max_rss", "max_vms"]
    assert header[-1] == "input_size_mb"
    assert len(rows) == 2
    for row in rows:
        shown = dict(zip(header, row, strict=True))
        assert float(shown["s"]) > 0.6
        assert float(shown["max_rss"]) > 0
        assert float(shown["cpu_time"]) > 0
        assert shown["rule_name"] == "a"
        contained = place.kind is EnvironmentKind.CONTAINER
        # Snakemake's own figure needs a third look at the process, after a second
        assert float(shown["mean_load"]) > 0 or not contained
        assert (shown["max_pss"] == "-") is contained
    assert '"rule_name": "b"' in _text(inside, "b.jsonl")
    tiers = {job.record.spec.rule: job.record.tier for job in inside.history.jobs}
    wanted = Tier.FORK if "--ray-tier" in options else Tier.DIRECT
    assert (tiers["a"], tiers["b"]) == (wanted, wanted)
    kinds = kinds_of(inside)
    assert (kinds["a"], kinds["b"]) == (place.kind, place.kind)


def test_the_cache_between_workflows_tells_environments_apart(
    inside: Workspace, place: Place, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    env = {"SNAKEMAKE_OUTPUT_CACHE": str(cache)}
    rule = f"""
        rule a:
            output: "a.txt"
            cache: True
            {place.directive}
            shell: "{place.who} > {{output}}; date +%N >> {{output}}"
        """
    inside.write("Snakefile", rule)
    inside.ok("--cache", env=env)
    first = _text(inside, "a.txt")
    assert first.startswith(place.said)
    assert kinds_of(inside) == {"a": place.kind}
    assert inside.job("a").record.tier is Tier.FORK
    assert list(cache.iterdir())
    (inside.root / "a.txt").unlink()
    inside.ok("--cache", env=env)
    assert _text(inside, "a.txt") == first
    # the same command, elsewhere
    inside.write("Snakefile", rule.replace(place.directive, ""))
    (inside.root / "a.txt").unlink()
    inside.run("--cache", env=env)
    assert not (inside.root / "a.txt").exists() or not _text(inside, "a.txt").startswith(place.said)


GROUP_OF_ONE = """
rule a:
    output: "a.txt"
    group: "g"
    threads: 2
    resources: mem_mb=40
    {directive}
    shell: "{command}"
"""


@pytest.mark.parametrize("victim", ["worker", "runner", "driver", "ctrl-c"])
def test_no_container_of_a_fork_outlives_who_started_it(
    lonely: Workspace, container_place: Place, engine: Engine, victim: str
) -> None:
    command = "touch started; sleep 1000; touch {output}"
    lonely.write(
        "Snakefile", GROUP_OF_ONE.format(directive=container_place.directive, command=command)
    )
    process = lonely.start("--ray-resubmissions", "0")
    wait_for((lonely.root / "started").exists, what="the job")
    [container] = _containers(engine, lonely)
    limits = container.attrs["HostConfig"]
    assert (limits["NanoCpus"], limits["Memory"]) == (2 * 10**9, 40 * 10**6)
    assert limits["CapDrop"] == ["ALL"]
    if victim == "worker":
        [pid] = descendants(process.pid, "ray::execute")
        kill(pid)
    elif victim == "runner":
        [pid] = [pid for pid in _runners() if Path(f"/proc/{pid}/cwd").samefile(lonely.root)]
        kill(pid)
    else:
        kill(process.pid, signal.SIGINT if victim == "ctrl-c" else signal.SIGKILL)
    wait_for(lambda: not _containers(engine, lonely), timeout=15, what="the container's end")
    process.communicate(timeout=60)
    assert process.returncode != 0


def _runners() -> list[int]:
    """Return the processes that run a fork's container, of whatever test."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"snakemake_repro.contained" in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def test_a_member_that_needs_more_memory_than_it_asked_for_says_so(
    workspace: Workspace, container_place: Place
) -> None:
    code = "python -c 'x = bytes([1]) * 200_000_000'"
    workspace.write(
        "Snakefile", GROUP_OF_ONE.format(directive=container_place.directive, command=code)
    )
    workspace.fails("a.txt")
    record = workspace.job("a").record
    said = "it ran out of memory: its limit is 38 MiB (`mem_mb`), its peak was 38 MiB"
    assert said in str(record.error)
    assert record.log is not None
    assert said in _text(workspace, record.log.path)
