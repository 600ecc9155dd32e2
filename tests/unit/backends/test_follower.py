"""Lines are shown once, whole, and without power over the terminal."""

from __future__ import annotations

from pathlib import Path

from snakemake_repro.backends.follower import Follower
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec, JobSpec, Tier
from snakemake_repro.records.tasks import Command, Member, Task


def _task(root: Path, log: str = "a.log") -> Task:
    spec = JobSpec(rule="a", kind="shell", wildcards={"x": "1\x1b"})
    return Task(
        id="1",
        run_id="2",
        workdir=str(root),
        log=log,
        tier=Tier.DIRECT,
        command=Command(kind="shell"),
        members=(Member(id="3", jobid=4, spec=spec),),
        environment=EnvironmentSpec(kind=EnvironmentKind.HOST, name="host"),
    )


def _shown(root: Path, *contents: bytes) -> list[str]:
    said: list[str] = []
    follower = Follower(root, said.append)
    for number, content in enumerate(contents):
        task = _task(root, f"{number}.log")
        follower.begin(task)
        (root / task.log).write_bytes(content)
    follower.end(task)
    follower.close()
    return [line.removeprefix(r"[a x=1\x1b] ") for line in said]


def test_what_would_act_on_a_terminal_is_made_readable(tmp_path: Path) -> None:
    assert _shown(tmp_path, b"\x1b[2J\xff\n1%\r2%\r\nrest") == [r"\x1b[2J\xff", "2%", "rest"]


def test_a_line_without_an_end_is_shown_in_pieces(tmp_path: Path) -> None:
    said = _shown(tmp_path, b"x" * (3 << 20))
    assert "".join(said) == "x" * (3 << 20)
    assert max(map(len, said)) <= 1 << 16


def test_an_attempt_that_is_repeated_is_shown_to_its_end_first(tmp_path: Path) -> None:
    assert _shown(tmp_path, b"first", b"second\n") == ["first", "second"]


def test_a_job_without_a_log_says_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    follower = Follower(tmp_path, said.append)
    follower.begin(_task(tmp_path))
    follower.end(_task(tmp_path))
    follower.close()
    assert said == []
