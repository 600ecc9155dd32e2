"""A hermetic job in a container sees its image, what its rule declares, and nothing else.

Whoever runs it: root, and everybody who may use the engine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import otherusers
import pytest
from runs import Workspace

from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.records import IsolationMode, JobStatus

pytestmark = pytest.mark.integration

ENFORCE = ("--ray-hermetic", "enforce")


@pytest.fixture(params=["this user", "another"])
def anybodys(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Workspace]:
    """A working directory of this user, then one of another who is in the engine's group."""
    if request.param == "this user":
        yield request.getfixturevalue("workspace")
        return
    assert engine.facts.name
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    group = Path(urlsplit(address).path).stat().st_gid
    if not otherusers.possible() or group == 0:
        pytest.skip("needs root, mount namespaces, and an engine that has a group of its own")
    with otherusers.home() as home:
        yield otherusers.OthersWorkspace(home, groups=[group])


def _nothing_is_left(workspace: Workspace) -> bool:
    left = [p for p in workspace.root.rglob("*") if ".repro-" in p.name or p.name == "stage"]
    return left == []


def _rules(workspace: Workspace, image: str, *rules: str) -> None:
    lines = [f"container: 'docker://{image}'"]
    for number, rule in enumerate(rules):
        lines += [f"rule r{number}:", *(f"    {line}" for line in rule.splitlines())]
    workspace.write("Snakefile", "\n".join([*lines, ""]))


def test_a_declared_file_is_all_that_a_job_sees(anybodys: Workspace, small: str) -> None:
    anybodys.write("declared.txt", "declared\n")
    anybodys.write("data/a.txt", "a\n")
    anybodys.write("data/b.txt", "b\n")
    anybodys.environ["REPRO_TEST_HOST"] = "host"
    _rules(
        anybodys,
        small,
        "input: 'declared.txt', 'data/a.txt'\n"
        "output: 'out/seen.txt', 'out/env.txt'\n"
        "log: 'logs/look.log'\n"
        "threads: 1\n"
        "shell: 'pwd > {log}; touch {output[0]}; find . -type f | sort > {output[0]};'\n"
        "    '(env | sort; hostname; umask; date +%Z; cat /proc/net/dev) > {output[1]};'\n"
        "    'for f in {input[0]} /etc/x undeclared.txt; do (echo x > $f) 2>/dev/null '\n"
        "    '&& echo wrote $f >> {output[1]} || true; done; rm -f undeclared.txt; echo said'",
    )
    anybodys.ok(*ENFORCE)
    seen = (anybodys.root / "out/seen.txt").read_text().splitlines()
    assert seen == ["./data/a.txt", "./declared.txt", "./logs/look.log", "./out/seen.txt"]
    assert (anybodys.root / "logs/look.log").read_text() == f"{anybodys.root}\n"
    text = (anybodys.root / "out/env.txt").read_text()
    assert "REPRO_TEST_HOST" not in text
    for line in ("HOME=/run/home", "LC_ALL=C.UTF-8", "TZ=UTC", "PYTHONHASHSEED=0", "0022", "UTC"):
        assert line in text.splitlines(), line
    assert "job" in text.splitlines(), "the host's name"
    assert set(re.findall(r"^\s*(\w+):", text, re.MULTILINE)) == {"lo"}, "no network"
    assert "wrote" not in text
    assert (anybodys.root / "declared.txt").read_text() == "declared\n"
    job = anybodys.job("r0").record
    assert job.violations == ()
    assert job.isolation is not None
    assert (job.isolation.mode, job.isolation.open) == (IsolationMode.ENFORCE, ("clock", "user"))
    assert "docker" in job.isolation.means.lower()
    assert job.use is not None
    assert job.use.max_rss_mb > 0
    assert job.log is not None
    assert (anybodys.root / job.log.path).read_text().endswith("said\n")
    assert (anybodys.root / "out/seen.txt").stat().st_uid == anybodys.root.stat().st_uid
    assert _nothing_is_left(anybodys)


def test_what_a_job_does_beyond_its_rule_fails_it_and_is_not_kept(
    anybodys: Workspace, small: str
) -> None:
    anybodys.write("secret.txt", "secret\n")
    _rules(
        anybodys,
        small,
        "output: 'out/a.txt'\nshell: 'echo x > {output}; echo y > out/beside.txt'",
        "output: 'read/b.txt'\nshell: 'cat secret.txt > {output}'",
        "output: 'net/c.txt'\nshell: 'wget -q -O {output} http://127.0.0.1:9/'",
    )
    done = anybodys.fails(*ENFORCE, "--keep-going", "--", "out/a.txt", "read/b.txt", "net/c.txt")
    assert "out/beside.txt, which it does not declare" in done.output
    assert re.search(r"secret\.txt'?: No such file or directory", done.output)
    jobs = {job.record.spec.rule: job.record for job in anybodys.history.jobs}
    assert {job.status for job in jobs.values()} == {JobStatus.FAILED}
    assert jobs["r0"].violations
    assert not list(anybodys.root.glob("*/*.txt"))
    assert _nothing_is_left(anybodys)


def test_a_script_runs_with_the_modules_beside_it_and_no_others(
    anybodys: Workspace, python: str
) -> None:
    anybodys.write("scripts/helper.py", "VALUE = 7\n")
    anybodys.write("scripts/data.json", "{}\n")
    anybodys.write(
        "scripts/work.py",
        """
        import os, sys
        import helper
        from snakemake_repro import track
        assert not os.path.exists(os.path.join(os.path.dirname(__file__), "data.json"))
        with track(snakemake, seed=1) as run:
            run.log_metric("loss", 0.25)
        with open(snakemake.output[0], "w") as file:
            file.write(f"{helper.VALUE} {snakemake.params.depth} {open(snakemake.input[0]).read()}")
        """,
    )
    anybodys.write("in.txt", "input")
    _rules(
        anybodys,
        python,
        "input: 'in.txt'\noutput: 'out.txt'\nparams: depth=[1, 2]\nscript: 'scripts/work.py'",
    )
    anybodys.ok(*ENFORCE)
    assert (anybodys.root / "out.txt").read_text() == "7 [1, 2] input"
    record = anybodys.job("r0").record
    assert [(metric.name, metric.value) for metric in record.metrics] == [("loss", 0.25)]
    assert not list((anybodys.root / ".snakemake/scripts").iterdir())


def test_thousands_of_inputs_take_one_mount(workspace: Workspace, small: str) -> None:
    for number in range(2_000):
        workspace.root.joinpath("many").mkdir(exist_ok=True)
        workspace.root.joinpath(f"many/{number}.txt").write_text(f"{number}\n")
    _rules(
        workspace,
        small,
        "input: [f'many/{n}.txt' for n in range(2000)]\noutput: 'count.txt'\n"
        "shell: 'cat many/*.txt | wc -l > {output}'",
    )
    workspace.ok(*ENFORCE)
    assert (workspace.root / "count.txt").read_text().strip() == "2000"


def test_nobody_watches_in_a_container(workspace: Workspace, small: str, engine: Engine) -> None:
    assert engine.facts.name
    _rules(workspace, small, "output: 'a.txt'\nshell: 'touch {output}'")
    done = workspace.fails("--ray-hermetic", "report")
    assert "`report` watches what jobs do, and it runs in a container" in done.output
    assert not (workspace.root / "a.txt").exists()
