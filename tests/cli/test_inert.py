"""Whatever a file, a rule or a log says, a terminal shows it and does nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from recordings import Recording

from snakemake_repro.records import GitState, JobStatus

Repro = Callable[..., Result]

NAMES = {
    "a b.txt": "a b.txt",
    "new\nline": r"$'new\nline'",
    "[red]x[/red]": "[red]x[/red]",
    "[link=example.org]x[": "[link=example.org]x[",
    ":smile:": ":smile:",
    "ünïcode \N{SNOWMAN}": "ünïcode \N{SNOWMAN}",
    "\udcff\udc80.bin": r"$'\xff\x80.bin'",
    "\x1b[31mred\x1b[0m": r"$'\x1b[31mred\x1b[0m'",
    "\x9b31m": r"$'\x9b31m'".replace("x9b", "u009b"),
    "it's\r": r"$'it\'s\r'",
    "\u202egnp.exe": r"$'\u202egnp.exe'",
    "back\\slash\x07": r"$'back\\slash\x07'",
}


@pytest.fixture
def odd(tmp_path: Path) -> None:
    run = Recording(
        tmp_path,
        command=["snakemake", "\x1b]0;title\x07"],
        git=GitState(commit="4e98fde" + "0" * 33, branch="\x1b[1mbranch", url="\x1b[5murl"),
    )
    for name in NAMES:
        run.job("[bold]rule[/bold]", wildcards={"w": name}, writes={name: name})
    run.job("join", reads=list(NAMES), writes={"all": "x"}, metrics={"[b]m\x1b": 1.0})
    run.job("bad", status=JobStatus.FAILED, verdict="rejected", error="\x1b[2J[red]boom\nline")
    run.end("failed")


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    "args",
    [
        ("report", "--all"),
        ("report", "--md"),
        ("lineage", "all", "--all"),
        ("verify", "--all"),
        ("log",),
        ("show", "--all"),
        ("show", "--job", "[bold]rule[/bold]"),
        ("show", "--job", "bad"),
        ("why", "all"),
        ("diff", "latest", "latest", "--all"),
        ("lineage", "all", "--format", "dot"),
        ("lineage", "all", "--format", "mermaid"),
        *((("lineage", name)) for name in NAMES),
    ],
)
def test_no_control_character_reaches_the_terminal(repro: Repro, args: tuple[str, ...]) -> None:
    text = repro(*args).stdout
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.usefixtures("odd")
def test_names_are_shown_whole_and_as_a_shell_reads_them(repro: Repro) -> None:
    for args in (("report", "--all"), ("verify", "--all"), ("lineage", "all", "--all")):
        text = repro(*args).stdout
        for shown in NAMES.values():
            assert shown in text, args


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("name", NAMES)
def test_json_holds_names_exactly(repro: Repro, name: str) -> None:
    result = repro("lineage", name, "--json")
    assert result.stdout.isascii()
    [trace] = json.loads(result.stdout)["lineage"]
    assert trace["tree"]["path"] == name
    assert trace["tree"]["jobs"][0]["step"]["wildcards"] == {"w": name}
