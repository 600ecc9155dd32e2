"""What a process can tell of itself, and how it starts others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from snakemake_repro.backends import processtree
from snakemake_repro.backends.processtree import own_umask

FORKED = {"LD_PRELOAD": ""}
"""With it a program is started by a fork of Python, without it by a program of the system."""


def test_the_umask_is_read_without_changing_it() -> None:
    before = os.umask(0o027)
    try:
        assert own_umask() == "0027"
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


@pytest.mark.parametrize("more", [FORKED, {}], ids=["forked", "launched"])
def test_a_program_starts_in_a_session_of_its_own_with_nothing_of_ours(
    tmp_path: Path, more: Mapping[str, str]
) -> None:
    script = """
        set -e
        pwd; cat; env | sort; echo 'to stderr' >&2
        [ "$(ps -o sid= -p $$)" -eq $$ ] && echo leads
        awk '/^Sig(Blk|Ign)/ { print $2 }' /proc/self/status
    """
    env = {"PATH": os.defpath, "ONLY": "this", **more}
    status, log = _run(["sh", "-c", script], cwd=tmp_path, env=env)
    assert status == 0
    lines = log.splitlines()
    assert lines[0] == str(tmp_path)
    assert "ONLY=this" in lines
    assert "HOME" not in log
    assert lines[-4:-2] == ["to stderr", "leads"]
    standard = (1 << 31) - 1  # above it are those of the C library's own
    assert [int(mask, 16) & standard for mask in lines[-2:]] == [0, 0]


@pytest.mark.parametrize("more", [FORKED, {}], ids=["forked", "launched"])
def test_a_program_is_called_by_the_name_that_was_given(
    tmp_path: Path, more: Mapping[str, str]
) -> None:
    _, log = _run(["sh", "-c", "echo $0"], cwd=tmp_path, env={"PATH": os.defpath, **more})
    assert log == "sh\n"  # as of a shell that Snakemake starts


@pytest.mark.parametrize("more", [FORKED, {}], ids=["forked", "launched"])
def test_a_program_dies_with_who_started_it(tmp_path: Path, more: Mapping[str, str]) -> None:
    code = (
        "import os, sys\n"
        "from snakemake_repro.backends import processtree\n"
        "pid = processtree.execute(['sleep', '60'], cwd='/', env=eval(sys.argv[1]), log_fd=2)\n"
        "print(pid, flush=True)\n"
        "os.read(0, 1)\n"
    )
    env = {"PATH": os.defpath, **more}
    with subprocess.Popen(
        [sys.executable, "-c", code, repr(env)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        _wait_until_it_runs(pid, b"sleep\x0060")
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    deadline = time.monotonic() + 5
    while processtree.alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not processtree.alive(pid)


@pytest.mark.parametrize(
    ("argv", "cwd", "said"),
    [
        (["missing-program"], "/", "missing-program"),
        (["true"], "/missing directory", "No such file or directory: /missing directory"),
        (["true", "x" * (1 << 20)], "/", "Argument list too long"),
    ],
)
def test_what_cannot_be_started_says_so_in_the_log(
    tmp_path: Path, argv: Sequence[str], cwd: str, said: str
) -> None:
    status, log = _run(argv, cwd=Path(cwd), env={"PATH": os.defpath}, log=tmp_path / "log")
    assert status == 1
    assert log.startswith("cannot start the job: ")
    assert said in log


def _run(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path | None = None
) -> tuple[int, str]:
    """Run a program to its end; return its exit status and what it wrote."""
    path = log or cwd / "log"
    with path.open("wb") as file:
        pid = processtree.execute(argv, cwd=str(cwd), env=env, log_fd=file.fileno())
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), path.read_text()


def _wait_until_it_runs(pid: int, command: bytes) -> None:
    deadline = time.monotonic() + 5
    while command not in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.005)
