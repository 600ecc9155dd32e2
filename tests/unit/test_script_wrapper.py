"""The wrapper ``script``: what runs a script, what it is given, and how it fails."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from wrapperjobs import Job

from snakemake_repro.wrappers.interpreters import interpreter_of
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.scripting import run_script

BASH = shutil.which("bash")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, of a job that nobody records."""
    monkeypatch.chdir(tmp_path)
    for name in ("REPRO_JOB", "REPRO_METRICS", "REPRO_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def script(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def job(path: Path | str, log: dict[str, str] | None = None, **params: Any) -> Job:
    inputs = {"script": str(path), "data": "in.txt", "parts": ["a", "b"]}
    return Job(
        inputs, {"result": "out.txt"}, params, {"fold": "3"}, {"all": "log.txt"} | (log or {})
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.py", "", [sys.executable]),
        ("a.sh", "", [BASH]),
        ("a.bash", "", [BASH]),
        ("a", "#!/bin/bash -e\n", [BASH, "-e"]),
        ("a.txt", "#!/usr/bin/env python3\n", [sys.executable]),
        ("a.py", "#!/usr/bin/env -S bash -e -u\n", [BASH, "-e", "-u"]),
        ("a.py", "#! /usr/bin/python3 -O\n", [sys.executable, "-O"]),
    ],
)
def test_the_first_line_says_what_runs_it_else_the_ending(
    name: str, text: str, expected: list[str]
) -> None:
    assert interpreter_of(script(name, text)) == expected


def test_what_is_wanted_comes_first_and_a_program_runs_by_itself(tmp_path: Path) -> None:
    assert interpreter_of(script("a.py", "#!/bin/sh\n"), ["bash", "-x"]) == [BASH, "-x"]
    program = script("program", "\x7fELF")
    with pytest.raises(WrapperError, match=r"program: expected a script that says what runs it"):
        interpreter_of(program)
    program.chmod(0o755)
    assert interpreter_of(program) == []
    with pytest.raises(
        WrapperError, match=r"a\.jl: expected no-such-julia to run it with, which is"
    ):
        interpreter_of(script("a.jl", ""), ["no-such-julia"])
    own = script("run-it", "")
    own.chmod(0o755)
    assert interpreter_of(script("a.xyz", ""), [str(tmp_path / "run-it")]) == [
        str(tmp_path / "run-it")
    ]


def test_programs_of_the_host_take_no_place_in_a_pinned_environment(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("host", "own"):
        program = work / place / "Rscript"
        program.parent.mkdir()
        program.touch(0o755)
    monkeypatch.setenv("PATH", f"{work / 'host'}:/usr/bin:/bin")
    path = script("fit.R", "#!/usr/bin/Rscript --vanilla\n")
    assert interpreter_of(path) == [str(work / "host" / "Rscript"), "--vanilla"]
    monkeypatch.setenv("REPRO_JOB", json.dumps({"programs": str(work / "own")}))
    assert interpreter_of(path) == [str(work / "own" / "Rscript"), "--vanilla"]
    assert interpreter_of(script("a.sh", "")) == [shutil.which("bash")]
    (work / "own" / "Rscript").unlink()
    with pytest.raises(WrapperError, match="Rscript to run it with, which is not in the environ"):
        interpreter_of(path)


def test_a_script_is_given_all_of_its_rule(work: Path) -> None:
    path = script(
        "tell.sh",
        """
        printf '%s\\n' "$@" "$REPRO_INPUT_data" "$REPRO_INPUT_parts" "$REPRO_OUTPUT_result" \\
            "$REPRO_WILDCARD_fold" "$REPRO_PARAM_rate" "$REPRO_PARAM_name" > out.txt
        cp "$REPRO_PARAMS" params.json
        echo '{"auc": 1}' >> "$REPRO_METRICS"; cp out.txt "$REPRO_ARTIFACTS"
        echo said; echo moaned >&2
        """,
    )
    words = ["--depth", 3, "$HOME; touch hacked"]
    run_script(job(path, args=words, rate=0.5, name="a b", sizes=[1, 2]))
    assert Path("out.txt").read_text().splitlines() == [
        "--depth", "3", "$HOME; touch hacked", "in.txt", '["a", "b"]', "out.txt", "3", "0.5", "a b",
    ]  # fmt: skip
    assert json.loads(Path("params.json").read_text()) == {
        "rate": 0.5, "name": "a b", "sizes": [1, 2],
    }  # fmt: skip
    assert Path("log.txt").read_text() == "said\nmoaned\n"
    assert not Path("hacked").exists()


def test_a_script_reports_to_the_job_that_is_recorded(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JOB", "METRICS", "ARTIFACTS"):
        monkeypatch.setenv(f"REPRO_{name}", "{}" if name == "JOB" else str(work / name))
    path = script(
        "fit.py",
        "from snakemake_repro import track\nwith track() as run:\n    run.log_metric('auc', 0.5)\n",
    )
    run_script(job(path))
    assert json.loads((work / "METRICS").read_text())["auc"] == 0.5


def test_logs_for_either_stream(work: Path) -> None:
    path = script("talk.sh", "echo said; echo moaned >&2; exit 3")
    made = job(path, {"stdout": "o.txt", "stderr": "e.txt"})
    with pytest.raises(WrapperError) as caught:
        run_script(made)
    assert caught.value.message == "talk.sh: ended with exit code 3"
    assert caught.value.hint == "its log is e.txt, which ends with: moaned"
    assert Path("o.txt").read_text() == "said\n"


@pytest.mark.parametrize(
    ("text", "params", "message"),
    [
        ("kill -9 $$", {}, "was ended by SIGKILL; the machine may have run out of memory"),
        ("exit 3", {}, "ended with exit code 3"),
        ("", {"args": "--depth 3"}, "params: expected a list of words as args=, got '--depth 3'"),
        ("", {"interpreter": 3}, "params: expected a list of words as interpreter=, got 3"),
        ("", {"x": object()}, "params: expected plain data as x=, got builtins.object"),
        (
            "",
            {"x": [{"y": {1: 2}}]},
            r"params: expected plain data as x\[0\]\['y'\]=, got builtins.",
        ),
    ],
)
def test_what_goes_wrong_is_one_clear_error(
    text: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrapperError, match=message):
        run_script(job(script("a.sh", text), **params))


def test_a_rule_needs_a_script() -> None:
    with pytest.raises(WrapperError, match="input: expected a file as script=, got none"):
        run_script(Job({}, {}, {}))
    with pytest.raises(WrapperError, match=r"no\.sh: cannot be read: No such file"):
        run_script(job("no.sh"))
