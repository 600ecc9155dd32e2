"""Bad input: one clear message and a hint on stderr, the right exit code, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from recordings import Recording, study

from snakemake_repro.cli import main
from snakemake_repro.cli.env import env
from snakemake_repro.operations import report as report_operation

Repro = Callable[..., Result]

READERS = [
    pytest.param(("report",), id="report"),
    pytest.param(("report", "0" * 8), id="report a run"),
    pytest.param(("lineage", "a"), id="lineage"),
    pytest.param(("lineage", "a", "--downstream"), id="downstream"),
    pytest.param(("verify",), id="verify"),
    pytest.param(("verify", "a"), id="verify a file"),
    pytest.param(("log",), id="log"),
    pytest.param(("diff", "latest", "latest"), id="diff"),
    pytest.param(("why", "a"), id="why"),
    pytest.param(("show",), id="show"),
]


def _fails(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert "\nHint: " in result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("args", READERS)
def test_an_empty_directory_has_no_record(
    repro: Repro, tmp_path: Path, args: tuple[str, ...]
) -> None:
    _fails(
        repro(*args),
        2,
        f"no record here: expected {tmp_path}/.repro/journal",
        "snakemake --executor ray",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", READERS)
def test_a_newer_schema_is_refused_with_file_and_line(
    repro: Repro, tmp_path: Path, args: tuple[str, ...]
) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.end()
    with run.worker_file.open("ab") as file:
        file.write(b'{"schema":2,"kind":"job-ended","run":"x","at":"y","data":{}}\n')
    _fails(
        repro(*args),
        3,
        f"{run.worker_file}, line 3: journal line of schema 2, this version reads up to 1",
        "Upgrade snakemake-executor-plugin-ray",
    )


@pytest.mark.parametrize("args", READERS)
def test_garbage_is_refused_with_file_and_line(
    repro: Repro, tmp_path: Path, args: tuple[str, ...]
) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.end()
    text = run.driver_file.read_bytes()
    run.driver_file.write_bytes(b"\x00\xff garbage\n" + text)
    _fails(repro(*args), 3, f"{run.driver_file}, line 1: not a JSON object")


@pytest.mark.parametrize("args", READERS[2:])
def test_a_truncated_journal_is_read_as_far_as_it_goes(
    repro: Repro, tmp_path: Path, args: tuple[str, ...]
) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.job("s", writes={"b": "2"})
    run.end()
    for path in (run.driver_file, run.worker_file):
        path.write_bytes(path.read_bytes()[:-30])
    result = repro(*args)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("args", READERS)
def test_a_journal_that_cannot_be_read_is_named(
    repro: Repro, tmp_path: Path, args: tuple[str, ...]
) -> None:
    run_id = study(tmp_path)
    (tmp_path / ".repro/journal" / run_id / "x.jsonl").mkdir()
    _fails(repro(*args), 3, "cannot read the record: ", "x.jsonl: Is a directory")


@pytest.mark.parametrize("name", ["deadbeef", "f" * 32, "no/such/file", "latests"])
def test_no_such_run(repro: Repro, tmp_path: Path, name: str) -> None:
    study(tmp_path)
    _fails(repro("report", name), 2, f"no run '{name}' in this record", "repro log")


def test_an_ambiguous_prefix(repro: Repro, tmp_path: Path) -> None:
    for end in "12":
        Recording(tmp_path, run_id="cafe" * 7 + "000" + end).end()
    for args in (("report", "cafecafe"), ("verify", "cafecafe")):
        _fails(repro(*args), 2, "run 'cafecafe' is ambiguous: 2 begin so", "more characters")
    assert repro("report", "cafe" * 7 + "0001").exit_code == 0


def test_no_such_file(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    _fails(repro("lineage", "no/such/file"), 2, "'no/such/file' is not in this record")


def test_a_record_without_runs(repro: Repro, tmp_path: Path) -> None:
    (tmp_path / ".repro/journal").mkdir(parents=True)
    _fails(repro("report"), 2, "the record holds no run yet")
    assert repro("log").exit_code == 0


@pytest.mark.parametrize(
    "args",
    [
        ("report", "--nonsense"),
        ("nonsense",),
        ("report", "-C", "no such directory"),
        ("report", "--store", "no such directory"),
        ("lineage",),
        ("log", "-n", "0"),
    ],
)
def test_wrong_usage(repro: Repro, args: tuple[str, ...]) -> None:
    result = repro(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: ")


def test_two_records_at_once(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    args = ("--store", tmp_path, "--tracking-uri", "http://127.0.0.1:1")
    _fails(repro("report", *args), 2, "a store and a tracking server are named")
    _fails(repro("report", "--experiment", "x"), 2, "no tracking server")


def test_verbose_shows_where_an_error_comes_from(repro: Repro) -> None:
    result = repro("report", "--verbose")
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert "\nError: no record here" in result.stderr


def test_json_says_errors_in_json_too(repro: Repro) -> None:
    result = repro("report", "--json")
    data = json.loads(result.stdout)
    assert result.exit_code == 2
    assert (data["schema"], data["error"]["kind"]) == (1, "NotFoundError")
    assert data["error"]["message"] in result.stderr
    assert data["error"]["hint"] in result.stderr


def test_a_mistake_of_ours_is_no_traceback_either(
    repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(tmp_path)

    def broken(*_: object) -> None:
        raise RuntimeError("the moon is in the wrong phase")

    monkeypatch.setattr(report_operation, "report", broken)
    _fails(repro("report"), 3, "unexpected RuntimeError: the moon is in the wrong phase")
    assert "Traceback" in repro("report", "--verbose").stderr


def test_odd_names_in_messages_are_inert(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    result = repro("lineage", "\x1b[31m[bold]x\n\udcff")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr
    assert r"\x1b[31m[bold]x\n\udcff" in result.stderr


def _repro(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake_repro.cli", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


def test_exit_codes_of_the_real_process(tmp_path: Path) -> None:
    assert _repro("report", cwd=tmp_path).returncode == 2
    study(tmp_path)
    done = _repro("report", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert _repro("verify", cwd=tmp_path).returncode == 0
    (tmp_path / "results/svm.json").write_text("x")
    done = _repro("verify", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert _repro("verify", "--nonsense", cwd=tmp_path).returncode == 2
    next((tmp_path / ".repro/journal").rglob("*.jsonl")).write_text("garbage\n")
    assert _repro("verify", cwd=tmp_path).returncode == 3


@pytest.mark.parametrize(
    "args", ["report", "report --json", "verify --all", "lineage results/summary.txt", "log"]
)
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, args: str) -> None:
    study(tmp_path)
    command = f"{sys.executable} -m snakemake_repro.cli {args}"
    done = subprocess.run(
        ["bash", "-c", f"{{ sleep 1; {command}; }} | true; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (141, "")


def test_every_command_has_the_options_that_all_share() -> None:
    single = {name: command for name, command in main.commands.items() if command is not env}
    for name, command in [*single.items(), *env.commands.items()]:
        options = {option for param in command.params for option in param.opts}
        shared = {"--json", "--verbose", "-C", "--workdir"}
        # what it says is what the command in it says
        assert shared - ({"--json"} if name == "shell" else set()) <= options, name
    for name in ("report", "lineage", "verify", "log"):
        options = {option for param in main.commands[name].params for option in param.opts}
        assert {"--store", "--tracking-uri", "--experiment"} <= options, name
