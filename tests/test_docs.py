"""The documentation is true: links lead somewhere, commands and flags exist, examples parse."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from snakemake_repro.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OWN_DIRECTIVES = re.compile(r"^(rule|module|use rule|checkpoint)\b.*:$", re.MULTILINE)


def _blocks(language: str) -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for match in _BLOCK.finditer(page.read_text()):
            if match[1] == language:
                yield page, match[2]


def _flags() -> set[str]:
    plugin = ExecutorPluginRegistry().get_plugin("ray")
    return {info["cliarg"] for info in plugin.get_settings_info()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if not re.match(r"[a-z]+:|#", link):
            assert (page.parent / link.partition("#")[0]).exists(), link


def _commands() -> Iterator[tuple[Path, list[str]]]:
    for page, text in _blocks("bash"):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", line):
                words = shlex.split(part, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words = words[1:]
                if words:
                    yield page, [Path(words[0]).name, *words[1:]]


def test_every_repro_command_and_option_exists() -> None:
    checked = 0
    for page, words in _commands():
        if words[0] != "repro" or len(words) == 1:
            continue
        command = main.commands[words[1]]
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
        for word in words[2:]:
            assert not word.startswith("-") or word.partition("=")[0] in known, (page, words)
        checked += 1
    assert checked >= 5


def test_every_ray_flag_exists() -> None:
    known = _flags()
    for page in PAGES:
        for flag in re.findall(r"--ray-[a-z-]+[a-z]", page.read_text()):
            assert flag in known, (page, flag)


def test_the_reference_names_every_flag_with_its_help() -> None:
    text = (ROOT / "docs/reference/executor.md").read_text()
    for info in ExecutorPluginRegistry().get_plugin("ray").get_settings_info():
        assert f"| `{info['cliarg']}` |" in text
        assert " ".join(info["help"].split()) in text, info["cliarg"]


def test_examples_parse() -> None:
    checked = 0
    for page, text in _blocks("yaml"):
        assert yaml.safe_load(text) is not None, page
        checked += 1
    for page, text in _blocks("python"):
        if not _OWN_DIRECTIVES.search(text):
            compile(text, str(page), "exec")
            checked += 1
    assert checked >= 3


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert isinstance(main, click.Group)
    for name in main.commands:
        assert f"`repro {name}" in text, name


def test_the_readme_has_the_two_commands_that_ci_runs() -> None:
    text = (ROOT / "README.md").read_text()
    for heading, words in (
        ("## Run the study", ("venv", "snakemake --executor ray", "repro report")),
        ("## Run the tests", ("venv", "pytest")),
    ):
        block = _BLOCK.search(text, text.index(heading))
        assert block is not None
        assert block[1] == "bash"
        assert len(block[2].strip().splitlines()) == 1, "one command"
        assert all(word in block[2] for word in words)
        assert heading.removeprefix("## ") in (ROOT / ".ci/run").read_text()


def test_the_catalog_finds_what_it_wants() -> None:
    for name in ("intro.md", "further.md"):
        assert (ROOT / "docs" / name).read_text().strip()
