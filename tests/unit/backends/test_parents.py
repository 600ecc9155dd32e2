"""Processes below one Snakemake find one run, and runs of dead ones are noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snakemake_repro.backends import parents as module
from snakemake_repro.backends.parents import (
    Parent,
    Parents,
    Process,
    is_snakemake,
    this_process,
)
from snakemake_repro.errors import StorageError

_LOOK = (
    "import json, sys; from snakemake_repro.backends.parents import snakemake_above; "
    "found = snakemake_above(likely=sys.argv[1] == 'likely'); "
    "print(json.dumps(found and [found.pid, str(found.cwd), found.command]))"
)
_RELAY = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[2:], check=False).returncode)"


@contextmanager
def _sleeper() -> Iterator[Process]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = module._look(process.pid)
        assert found is not None
        yield found[0]
        process.kill()


def _files(workdir: Path) -> list[str]:
    return sorted(p.name for p in (workdir / ".repro" / "parents").glob("*.json"))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/env/bin/python3.11", "/env/bin/snakemake", "--cores", "2"], True),
        (["/env/bin/python", "-m", "snakemake", "-c2"], True),
        (["python", "-X", "dev", "-m", "snakemake"], True),
        (["/opt/snakemake", "-c", "1"], True),
        (["/bin/bash", "-c", "snakemake --cores 2"], False),
        (["python", "train.py", "snakemake"], False),
        (["python", "-m", "snakemake_repro.recorder"], False),
        (["vim", "snakemake"], False),
        ([""], False),
    ],
)
def test_snakemake_is_known_by_its_command_line(command: list[str], *, expected: bool) -> None:
    assert is_snakemake(command) is expected


def test_a_process_is_itself_and_alive() -> None:
    me = this_process()
    assert (me.pid, me.alive, me.cwd) == (os.getpid(), True, Path.cwd())
    assert not Process(pid=me.pid, start=me.start + 1).alive


def test_a_process_that_ended_is_not_alive() -> None:
    with _sleeper() as process:
        assert process.alive
    assert not process.alive


def _run_below(tmp_path: Path, *chain: list[str], likely: bool = False) -> object:
    """Run the look below a chain of processes; each is a script of the given name that relays."""
    command: list[str] = []
    for name, *options in chain:
        script = tmp_path / name
        script.write_text(_RELAY.replace("sys.argv[2:]", "sys.argv[sys.argv.index('::') + 1:]"))
        command += [sys.executable, str(script), *options, "::"]
    command += ["/bin/sh", "-c", '"$0" -c "$1" "$2"; exit $?', sys.executable, _LOOK]
    command.append("likely" if likely else "unlikely")
    # the relays split at their own mark: later marks belong to later relays
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_snakemake_above_is_found_through_shells(tmp_path: Path) -> None:
    found = _run_below(tmp_path, ["snakemake", "--cores", "2"])
    assert isinstance(found, list)
    assert found[1] == str(tmp_path)
    assert found[2][1:4] == [str(tmp_path / "snakemake"), "--cores", "2"]


@pytest.mark.parametrize("mode", [["--mode", "subprocess"], ["--mode=remote"]])
def test_a_snakemake_that_runs_one_job_of_another_is_passed_over(
    tmp_path: Path, mode: list[str]
) -> None:
    found = _run_below(tmp_path, ["snakemake", "--cores", "2"], ["snakemake", *mode])
    assert isinstance(found, list)
    assert "--cores" in found[2][:5]


def test_of_a_snakemake_inside_a_rule_the_inner_one_counts(tmp_path: Path) -> None:
    found = _run_below(tmp_path, ["snakemake", "--cores", "2"], ["snakemake", "--cores", "1"])
    assert isinstance(found, list)
    assert found[2][2:4] == ["--cores", "1"]


def test_a_lone_job_of_a_snakemake_elsewhere_is_its_own_run(tmp_path: Path) -> None:
    found = _run_below(tmp_path, ["snakemake", "--mode", "remote"])
    assert isinstance(found, list)
    assert found[2][2:4] == ["--mode", "remote"]


def test_a_snakemake_started_through_its_api_is_the_python_above(tmp_path: Path) -> None:
    found = _run_below(tmp_path, ["driver.py"], likely=True)
    assert isinstance(found, list)
    assert found[2][1] == str(tmp_path / "driver.py")


def test_the_first_begins_the_run_and_the_others_join_it(tmp_path: Path) -> None:
    begun: list[str] = []
    found: list[Parent] = []

    def witness() -> None:
        def begin(run_id: str) -> None:
            time.sleep(0.05)
            begun.append(run_id)

        parents = Parents(tmp_path, "host")
        found.append(parents.join(this_process(), leader="wrapper", begin=begin))

    threads = [threading.Thread(target=witness) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    assert found == [Parent(run_id=begun[0], leader="wrapper")] * 8


def test_two_processes_have_two_runs(tmp_path: Path) -> None:
    parents = Parents(tmp_path, "host")
    with _sleeper() as other:
        one = parents.join(this_process(), leader="wrapper", begin=lambda _: None)
        two = parents.join(other, leader="wrapper", begin=lambda _: None)
    assert one.run_id != two.run_id


def test_a_run_that_could_not_begin_is_begun_by_the_next(tmp_path: Path) -> None:
    parents = Parents(tmp_path, "host")

    def fail(run_id: str) -> None:
        raise StorageError(run_id)

    with pytest.raises(StorageError):
        parents.join(this_process(), leader="wrapper", begin=fail)
    begun: list[str] = []
    parents.join(this_process(), leader="wrapper", begin=begun.append)
    assert len(begun) == 1


@pytest.mark.parametrize(
    "content", ['{"run_id": ', "[]", '{"run_id": "../../etc", "leader": "wrapper"}', "\xff"]
)
def test_a_damaged_file_is_written_anew(tmp_path: Path, content: str) -> None:
    parents = Parents(tmp_path, "host")
    parents.join(this_process(), leader="wrapper", begin=lambda _: None)
    [name] = _files(tmp_path)
    (tmp_path / ".repro" / "parents" / name).write_text(content)
    begun: list[str] = []
    parents.join(this_process(), leader="logger", begin=begun.append)
    assert len(begun) == 1


def test_a_run_is_forgotten_when_its_process_says_so(tmp_path: Path) -> None:
    parents = Parents(tmp_path, "host")
    parents.join(this_process(), leader="logger", begin=lambda _: None)
    parents.leave(this_process())
    assert _files(tmp_path) == []
    parents.leave(this_process())


def test_runs_of_dead_processes_are_ended_and_forgotten(tmp_path: Path) -> None:
    parents = Parents(tmp_path, "host")
    mine = parents.join(this_process(), leader="wrapper", begin=lambda _: None)
    with _sleeper() as process:
        theirs = parents.join(process, leader="wrapper", begin=lambda _: None)
    ended: list[Parent] = []
    parents.sweep(ended.append)
    assert ended == [theirs]
    assert parents.join(this_process(), leader="wrapper", begin=lambda _: None) == mine
    parents.sweep(ended.append)
    assert ended == [theirs]


def test_nothing_is_said_about_processes_of_other_machines(tmp_path: Path) -> None:
    with _sleeper() as process:
        Parents(tmp_path, "elsewhere").join(process, leader="wrapper", begin=lambda _: None)
    Parents(tmp_path, "here").sweep(lambda _: pytest.fail("not ours"))
    assert len(_files(tmp_path)) == 1


def test_looking_for_dead_processes_makes_no_directory(tmp_path: Path) -> None:
    Parents(tmp_path, "host").sweep(lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".repro").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        Parents(tmp_path, "host").join(this_process(), leader="wrapper", begin=lambda _: None)


def test_a_lock_that_nobody_gives_back_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    inside, done = threading.Event(), threading.Event()

    def hold(_: str) -> None:
        inside.set()
        done.wait()

    def begin() -> None:
        Parents(tmp_path, "host").join(this_process(), leader="wrapper", begin=hold)

    holder = threading.Thread(target=begin)
    holder.start()
    inside.wait()
    try:
        with pytest.raises(StorageError, match=r"\.lock is held by another process"):
            Parents(tmp_path, "host").leave(this_process())
    finally:
        done.set()
        holder.join()
