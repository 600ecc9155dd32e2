"""The gateway's process, started before anybody knows what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snakemake_repro.backends.frames import read_frame
from snakemake_repro.backends.gateway_process import (
    Ahead,
    Process,
    address_of,
    instruct,
    start,
    wanted,
)

_NOWHERE = "127.0.0.1:1"
_ARGV = ("snakemake", "--executor", "ray", "--ray-address", _NOWHERE)
_PATIENCE_S = 60


@pytest.fixture
def ahead() -> Iterator[Ahead]:
    process = Ahead()
    yield process
    if (left := process.take(None)) is not None:
        _end(left)


def _end(process: Process) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    status = process.wait(_PATIENCE_S)
    process.stdout.close()
    return status


@pytest.mark.parametrize(
    "argv",
    [
        ["snakemake", "--executor", "ray", "--jobs", "4"],
        ["snakemake", "-e", "ray"],
        ["snakemake", "--executor=ray", "all"],
    ],
)
def test_a_command_line_that_runs_jobs_on_ray_wants_a_gateway(argv: list[str]) -> None:
    assert wanted(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["snakemake", "--cores", "2"],
        ["snakemake", "--executor", "slurm", "ray"],
        ["snakemake", "--executor", "ray", "-n"],
        ["snakemake", "--executor=ray", "--unlock"],
    ],
)
def test_no_other_does(argv: list[str]) -> None:
    assert not wanted(argv)


def test_the_address_is_that_of_the_command_line_before_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert address_of(["snakemake"]) is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert address_of(["snakemake"]) == "10.0.0.1:6379"
    assert address_of([*_ARGV]) == _NOWHERE
    assert address_of(["snakemake", f"--ray-address={_NOWHERE}"]) == _NOWHERE


def test_a_process_that_nobody_instructs_ends_by_itself() -> None:
    assert _end(start(None)) == 0


def test_one_that_is_instructed_connects(tmp_path: Path) -> None:
    process = start(_NOWHERE)
    instruct(process, cpus=None, log=tmp_path / "logs" / "gateway.log")
    assert process.stdout is not None
    frame = read_frame(process.stdout)
    assert frame is not None
    assert frame[0]["op"] == "failed"
    assert _NOWHERE in frame[0]["message"]
    assert (tmp_path / "logs" / "gateway.log").exists()
    assert _end(process) == 1


def test_what_was_started_ahead_is_taken_once(ahead: Ahead) -> None:
    ahead.start(_ARGV)
    process = ahead.take(_NOWHERE)
    assert process is not None
    assert ahead.take(_NOWHERE) is None
    assert _end(process) == 0


def test_it_is_not_taken_for_another_cluster(ahead: Ahead) -> None:
    ahead.start(_ARGV)
    assert ahead.take("127.0.0.1:2") is None


def test_it_is_not_taken_when_variables_of_ray_have_changed(
    ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead.start(_ARGV)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert ahead.take(_NOWHERE) is None
