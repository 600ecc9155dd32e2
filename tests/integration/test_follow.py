"""What jobs write is kept as it is, shown while they run if asked for, and nothing of Ray's with it."""

from __future__ import annotations

import subprocess
import threading

import pytest
from processes import wait_for
from runs import Workspace

pytestmark = pytest.mark.integration

SPEAKING = r"""
rule all:
    input: expand("{x}.txt", x=["a", "b"]), "run.txt"
rule speak:
    output: "{x}.txt"
    shell:
        "echo first of {wildcards.x}; printf '\\033[31mred\\033[0m\\n' >&2; printf '10%%\\r20%%\\n'; "
        "while [ ! -e go ]; do sleep 0.1; done; printf 'unfinished'; touch {output}"
rule run:
    output: "run.txt"
    run:
        print("from run", flush=True)
        open(output[0], "w").close()
"""


def _lines(process: subprocess.Popen[str]) -> tuple[list[str], threading.Thread]:
    lines: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        lines.extend(line.rstrip("\n") for line in process.stdout)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return lines, reader


def test_the_output_of_jobs_is_shown_while_they_run(workspace: Workspace) -> None:
    workspace.write("Snakefile", SPEAKING)
    with workspace.start("--ray-follow") as process:
        lines, reader = _lines(process)
        try:
            wait_for(lambda: "[speak x=a] first of a" in lines, what="the first line of a job")
            wait_for(lambda: "[speak x=b] first of b" in lines, what="the first line of another")
            assert not list(workspace.root.glob("[ab].txt"))
        finally:
            (workspace.root / "go").touch()
        reader.join(120)
    assert process.returncode == 0, lines
    for x in "ab":
        shown = [line for line in lines if line.startswith(f"[speak x={x}] ")]
        said = [r"\x1b[31mred\x1b[0m", "20%", "unfinished"]
        assert shown == [f"[speak x={x}] {text}" for text in (f"first of {x}", *said)]
    assert "[run] from run" in lines
    assert not [line for line in lines if "raylet" in line or "ray.init" in line]
    [log] = (workspace.root / ".snakemake/ray/speak/x=a").iterdir()
    assert log.read_bytes() == b"first of a\n\x1b[31mred\x1b[0m\n10%\r20%\nunfinished"


def test_a_repeated_job_is_followed_too(lonely: Workspace) -> None:
    lonely.write(
        "Snakefile",
        """
        rule a:
            output: "a.txt"
            shell:
                "if [ -e once ]; then echo second time; touch {output}; "
                "else touch once; echo first time; kill -9 $PPID; sleep 100; fi"
        """,
    )
    done = lonely.ok("--ray-follow")
    assert done.output.index("[a] first time") < done.output.index("[a] second time")


def test_the_log_of_a_failed_job_cannot_act_on_the_terminal(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        r"""
        rule a:
            output: "a.txt"
            shell: "printf '\\033]0;title\\007'; exit 3"
        """,
    )
    done = workspace.fails()
    assert r"\x1b]0;title\x07" in done.output
    assert "\x1b]0;title" not in done.output
