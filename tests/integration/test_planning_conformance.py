"""Which jobs run, how often, in which directory and after what is the same under both executors."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest
from pairs import Pair, tree
from processes import wait_for
from runs import Done, Workspace

from snakemake_repro.records import Tier

pytestmark = pytest.mark.integration

DIRECT, FORK = Tier.DIRECT, Tier.FORK

CHAIN = """
rule all:
    input: "b.txt", "c.txt"
rule a:
    input: "in.txt"
    output: "a.txt"
    params: 1
    shell: "echo a >> runs; cat {input} > {output}"
rule b:
    input: "a.txt"
    output: "b.txt"
    shell: "echo b >> runs; cat {input} > {output}"
rule c:
    input: ancient("a.txt")
    output: "c.txt"
    run: shell("echo c >> runs; cat {input} > {output}")
"""


def _runs(pair: Pair) -> str:
    """Return which jobs ran since the last look, in order of their names; forget them."""
    found = pair.ray.root / "runs"
    names = "".join(sorted(found.read_text().split())) if found.exists() else ""
    pair.each(lambda workspace: (workspace.root / "runs").unlink(missing_ok=True))
    return names


def test_a_workflow_may_choose_its_working_directory(pair: Pair) -> None:
    pair.write("in.txt", "beside the Snakefile\n")
    pair.write("elsewhere/in.txt", "in the working directory\n")
    pair.write("scripts/work.py", "open(snakemake.output[0], 'w').write(open('in.txt').read())\n")
    pair.write(
        "Snakefile",
        """
        workdir: "elsewhere"
        rule all:
            input: "shell.txt", "script.txt", "run.txt", "grouped.txt"
        rule shell:
            input: "in.txt"
            output: "shell.txt"
            log: "logs/shell.log"
            shell: "cat {input} > {output}; basename $PWD > {log}"
        rule script:
            output: "script.txt"
            script: "scripts/work.py"
        rule run:
            input: "in.txt"
            output: "run.txt"
            run: open(output[0], "w").write(open(input[0]).read())
        rule grouped:
            input: "shell.txt"
            output: "grouped.txt"
            group: "g"
            shell: "cat {input} > {output}"
        """,
    )
    pair.ok()
    work = pair.ray.root / "elsewhere"
    assert (work / "grouped.txt").read_text() == "in the working directory\n"
    assert (work / "logs/shell.log").read_text() == "elsewhere\n"
    assert not (pair.ray.root / ".repro").exists()
    jobs = Workspace(work).history.jobs
    tiers = {job.record.spec.rule: job.record.tier for job in jobs}
    assert tiers == {"shell": DIRECT, "script": DIRECT, "run": FORK, "grouped": FORK}


def test_the_same_changes_make_jobs_run_again(pair: Pair) -> None:
    pair.write("in.txt", "first\n")
    pair.write("Snakefile", CHAIN)
    pair.ok()
    assert _runs(pair) == "abc"
    assert pair.tiers == {"a": DIRECT, "b": DIRECT, "c": FORK}
    pair.write("Snakefile", CHAIN.replace("params: 1", "params: 2"))
    pair.ok("--rerun-triggers", "mtime")
    assert _runs(pair) == ""
    pair.ok("--rerun-triggers", "params", "mtime")
    # Snakemake does not ask whether the output of `a` changed, only whether it is newer
    assert _runs(pair) == "ab"
    pair.write("Snakefile", CHAIN.replace("params: 1", "params: 2").replace("echo b", "echo  b"))
    pair.ok("--rerun-triggers", "mtime", "params", "input", "software-env")
    assert _runs(pair) == ""
    pair.ok("--rerun-triggers", "code")
    assert _runs(pair) == "b"
    pair.write("in.txt", "second\n")
    pair.ok("--rerun-triggers", "mtime")
    assert _runs(pair) == "ab"
    assert pair.tiers == {"a": DIRECT, "b": DIRECT, "c": Tier.SNAKEMAKE}


def test_flags_repeat_spare_and_delete_the_same_jobs(pair: Pair) -> None:
    pair.write("in.txt", "first\n")
    pair.write("Snakefile", CHAIN)
    pair.ok()
    pair.write("in.txt", "second\n")
    _runs(pair)
    pair.ok("--touch")
    assert _runs(pair) == ""
    assert (pair.ray.root / "b.txt").read_text() == "first\n"
    _, spared = pair.ok()
    assert "Nothing to be done" in spared.output
    pair.ok("--forceall")
    assert _runs(pair) == "abc"
    assert pair.tiers == {"a": DIRECT, "b": DIRECT, "c": FORK}
    pair.ok("--force", "--", "a.txt")
    assert _runs(pair) == "a"
    pair.ok("--delete-all-output", "--dry-run")
    assert (pair.ray.root / "c.txt").exists()
    pair.ok("--delete-all-output")
    assert sorted(tree(pair.ray.root)) == ["Snakefile", "in.txt"]
    pair.ok()
    assert _runs(pair) == "abc"
    pair.ok("--force", "--touch", "--", "c.txt")
    assert _runs(pair) == ""


def test_a_checkpoint_that_is_tried_again_decides_what_follows(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        """
        def found(wildcards):
            folder = checkpoints.split.get().output[0]
            return expand(f"{folder}/{{i}}.copy", i=sorted(glob_wildcards(f"{folder}/{{i}}.txt").i))
        rule all:
            input: "sum.txt"
        checkpoint split:
            output: directory("parts")
            retries: 2
            resources: parts=lambda wildcards, attempt: attempt
            shell:
                "mkdir {output}; for i in $(seq {resources.parts}); do echo $i > {output}/$i.txt; done;"
                "echo {resources.parts} >> tries; test {resources.parts} = 3"
        rule copy:
            input: "parts/{i}.txt"
            output: "parts/{i}.copy"
            retries: 1
            resources: first=lambda wildcards, attempt: attempt == 1
            run:
                shell("echo {wildcards.i} >> tried.{wildcards.i}; cp {input} {output}")
                assert not resources.first
        rule sum:
            input: found
            output: "sum.txt"
            shell: "cat {input} > {output}"
        """,
    )
    pair.ok()
    assert (pair.ray.root / "sum.txt").read_text() == "1\n2\n3\n"
    assert (pair.ray.root / "tries").read_text() == "1\n2\n3\n"
    assert (pair.ray.root / "tried.2").read_text() == "2\n2\n"
    assert pair.tiers == {"split": DIRECT, "copy": FORK, "sum": DIRECT}
    assert [job.record.attempt for job in pair.ray.jobs("split")] == [1, 2, 3]


HANDLERS = """
onstart: shell("echo start >> events")
onsuccess: shell("echo success $(wc -l < {log} | grep -c .) >> events")
onerror: shell("echo error $(wc -l < {log} | grep -c .) >> events")
rule all:
    input: "good.txt", "bad.txt", "after.txt", "other.txt"
rule bad:
    output: "bad.txt"
    shell: "echo half > {output}; test -e mended"
rule forked:
    output: "forked.txt"
    run:
        if not os.path.exists("mended"):
            raise ValueError("not yet")
        shell("touch {output}")
rule after:
    input: "forked.txt"
    output: "after.txt"
    shell: "touch {output}"
rule good:
    output: "good.txt"
    shell: "touch {output}"
rule other:
    input: "good.txt"
    output: "other.txt"
    shell: "sleep 1; touch {output}"
"""


def test_handlers_are_called_at_the_end_of_all_that_can_run(pair: Pair) -> None:
    pair.write("Snakefile", HANDLERS)
    pair.ok("--dry-run")
    assert not (pair.ray.root / "events").exists()
    pair.fails("--keep-going")
    assert (pair.ray.root / "events").read_text() == "start\nerror 1\n"
    assert (pair.ray.root / "other.txt").exists()
    tiers = {"bad": DIRECT, "forked": FORK, "good": DIRECT, "other": DIRECT}
    assert pair.tiers == tiers
    pair.write("mended", "")
    pair.ok("--keep-going")
    assert (pair.ray.root / "events").read_text() == "start\nerror 1\nstart\nsuccess 1\n"


def test_a_handler_that_fails_fails_the_run(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        "onstart: shell('false')\nrule a:\n    output: 'a.txt'\n    shell: 'touch {output}'\n",
    )
    pair.fails()
    assert not (pair.ray.root / "a.txt").exists()


def test_a_run_rule_reads_what_its_shell_says(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        r"""
        rule a:
            output: "a.txt"
            threads: 2
            run:
                whole = shell("echo one; printf 'two {threads}'", read=True)
                lines = list(shell("echo three; echo four; printf five", iterable=True))
                first = next(iter(shell("echo six; echo seven", iterable=True)))
                try:
                    list(shell("echo eight; exit 3", iterable=True))
                except Exception as error:
                    status = error.returncode
                quiet = shell("exit 0", read=True)
                with open(output[0], "w") as file:
                    file.write(repr([whole, lines, first, status, quiet]))
        """,
    )
    pair.ok()
    # Snakemake takes the last character of a line for its end
    text = "['one\\ntwo 2', ['three', 'four', 'fiv'], 'six', 3, '']"
    assert (pair.ray.root / "a.txt").read_text() == text
    assert pair.tiers == {"a": FORK}


def _places(done: Done, root: Path) -> set[str]:
    """Return which lines of which files an error output names."""
    found = re.findall(r'file "?([^"\s]+?)"?, line (\d+)', done.output)
    own = str(root.resolve()) + "/"
    return {f"{name.removeprefix(own)}:{line}" for name, line in found if name.startswith(own)}


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("shell", "rules/included.smk:4"),
        ("run", "rules/included.smk:8"),
        ("of_shell", "other/Snakefile:6"),
        ("of_run", "other/Snakefile:10"),
        ("of_script", "other/Snakefile:13"),
        ("of_inner", "other/inner.smk:6"),
    ],
)
def test_an_error_names_the_line_of_the_included_file_or_module(
    pair: Pair, target: str, place: str
) -> None:
    pair.write("Snakefile", INCLUDING)
    pair.write("rules/included.smk", INCLUDED)
    pair.write("other/Snakefile", MODULE)
    pair.write("other/inner.smk", INNER)
    pair.write("other/scripts/bad.py", "x = 1\nraise ValueError('the reason')\n")
    local, ray = pair.fails("--", f"{target}.txt")
    assert place in _places(local, pair.local.root), local.output
    assert place in _places(ray, pair.ray.root), ray.output


INCLUDING = """
include: "rules/included.smk"
module other:
    snakefile: "other/Snakefile"
use rule * from other as of_*
"""
INCLUDED = """
rule shell:
    output: "shell.txt"
    shell: "exit 3"
rule run:
    output: "run.txt"
    run:
        raise ValueError("the reason")
"""
MODULE = """
include: "inner.smk"
# a comment
rule shell:
    output: "of_shell.txt"
    shell: "exit 3"
rule run:
    output: "of_run.txt"
    run:
        raise ValueError("the reason")
rule script:
    output: "of_script.txt"
    script: "scripts/bad.py"
"""
INNER = """
# one
# two
rule inner:
    output: "of_inner.txt"
    shell: "exit 3"
"""


def test_a_run_after_a_killed_one_makes_what_was_not_complete(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        """
        rule all:
            input: "first.txt", "shell.txt", "run.txt", "last.txt"
        rule first:
            output: "first.txt"
            shell: "echo x >> first.runs; echo first > {output}"
        rule shell:
            input: "first.txt"
            output: "shell.txt"
            shell: "echo half > {output}; test -e mended || sleep 1000; echo whole >> {output}"
        rule run:
            input: "first.txt"
            output: "run.txt"
            run: shell("echo half > {output}; test -e mended || sleep 1000; echo whole >> {output}")
        rule last:
            input: "shell.txt", "run.txt"
            output: "last.txt"
            shell: "cat {input} > {output}"
        """,
    )
    for workspace, executor in zip(pair.both, ("local", "ray"), strict=True):
        _kill_in_the_middle(workspace, executor)
    for done in pair.run():
        assert done.status != 0
        assert "incomplete" in done.output
        assert "--rerun-incomplete" in done.output
    pair.write("mended", "")
    pair.ok("--rerun-incomplete")
    assert (pair.ray.root / "first.runs").read_text() == "x\n"
    assert (pair.ray.root / "last.txt").read_text() == "half\nwhole\n" * 2
    tiers = {"first": Tier.SNAKEMAKE, "shell": DIRECT, "run": FORK, "last": DIRECT}
    assert pair.tiers == tiers


def _kill_in_the_middle(workspace: Workspace, executor: str) -> None:
    """Kill the driver while two jobs run; with Snakemake's executor its jobs, which would go on."""
    with workspace.start(executor=executor) as process:
        halves = [workspace.root / name for name in ("shell.txt", "run.txt")]
        wait_for(lambda: all(path.exists() for path in halves), what="two jobs")
        if executor == "local":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    wait_for(lambda: not _sleeping(workspace), what="the end of the jobs")
    workspace.ok("--unlock", executor=executor)


def _sleeping(workspace: Workspace) -> list[Path]:
    """Return the jobs in a directory that wait."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            here = (process / "cwd").readlink() == workspace.root
            if here and (process / "cmdline").read_bytes().startswith(b"sleep\0"):
                found.append(process)
    return found
