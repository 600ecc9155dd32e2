"""docs/reference/cli.md is what `--help` says.

``REPRO_UPDATE_REFERENCE=1 pytest tests/cli/test_reference.py`` writes it anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from snakemake_repro.cli import main
from snakemake_repro.cli.env import env

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
HEAD = """# The `repro` command

<!-- Written by `REPRO_UPDATE_REFERENCE=1 pytest tests/cli/test_reference.py`; do not edit. -->

With `--json` a command prints one JSON object with a `schema` number. Fields are only ever
added under one number; every field is always present, `null` where nothing is known. An error
becomes `{"schema": 1, "error": {"kind", "message", "hint"}}` on standard output beside the
message on standard error.
"""


def _section(title: str, command: click.Command, parent: click.Context | None) -> str:
    name = title.rpartition(" ")[2]
    # with the command's own settings: click keeps the first help option that it makes
    settings = {**main.context_settings, "terminal_width": 80}
    with click.Context(command, info_name=name, parent=parent, **settings) as context:
        return f"\n## `{title}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n"


def _reference() -> str:
    root = click.Context(main, info_name="repro")
    sections = [_section("repro", main, None)]
    for name, command in main.commands.items():
        sections.append(_section(f"repro {name}", command, root))
        parent = click.Context(command, info_name=name, parent=root)
        sections += [
            _section(f"repro {name} {inner}", found, parent)
            for inner, found in getattr(command, "commands", {}).items()
        ]
    return HEAD + "".join(sections)


def test_the_reference_is_current() -> None:
    expected = _reference()
    if os.environ.get("REPRO_UPDATE_REFERENCE"):
        REFERENCE.parent.mkdir(parents=True, exist_ok=True)
        REFERENCE.write_text(expected)
    assert REFERENCE.read_text() == expected, (
        "docs/reference/cli.md is stale: "
        "REPRO_UPDATE_REFERENCE=1 pytest tests/cli/test_reference.py"
    )


def test_every_command_says_what_it_does() -> None:
    for name, command in [*main.commands.items(), *env.commands.items()]:
        assert command.help, name
        options = [param for param in command.params if isinstance(param, click.Option)]
        assert all(option.help for option in options), name
