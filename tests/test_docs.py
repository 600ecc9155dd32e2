"""The documentation says what is: links lead somewhere, commands and flags exist, tables are full."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import re
import subprocess
import sys
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents import (
    DOCS,
    README,
    REPOSITORY,
    ROOT,
    Block,
    Document,
    commands,
    complaint,
    documents,
    read,
)
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from snakemake_repro import records
from snakemake_repro.cli import main
from snakemake_repro.cli.env import env
from snakemake_repro.logic import resources
from snakemake_repro.operations import variables
from snakemake_repro.records import Digest, Entry, Record

DOCUMENTS = documents()
CATALOG = (DOCS / "intro.md", DOCS / "further.md")
"""Snakemake's plugin catalog shows these two on a page of its own."""

NAMED = frozenset((*main.commands, *(f"env {name}" for name in env.commands)))
"""Commands by their names alone."""
LANGUAGES = {"bash", "json", "python", "r", "snakemake", "text", "toml", "yaml"}
_SNAKEFILE = re.compile(r"^(?:rule|checkpoint|module|envvars|configfile|include)\b", re.MULTILINE)
_OUR_FLAG = re.compile(r"(?<![\w-])--(?:ray|logger-repro)-[a-z][a-z-]*[a-z]")
_OUR_VARIABLE = re.compile(r"\bREPRO_[A-Z_]+\b")
_OUR_FILE = re.compile(
    r"(?:snakemake_repro|snakemake_executor_plugin_ray|snakemake_logger_plugin_repro|tests|docs"
    r"|\.ci)/[\w./-]+"
)
_UNFINISHED = re.compile(r"\.\.\.|…|[<>]|\{|\[")


def _blocks(*languages: str) -> list[Block]:
    return [block for d in DOCUMENTS for block in d.blocks if block.language in languages]


def _is_snakefile(block: Block) -> bool:
    return block.language == "snakemake" or bool(_SNAKEFILE.search(block.text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Document) -> None:
    broken = []
    for link in document.links:
        target, _, anchor = link.partition("#")
        if target.startswith(REPOSITORY):
            inside = re.sub(rf"^{re.escape(REPOSITORY)}(?:/(?:blob|tree)/main)?/?", "", target)
            path = ROOT / inside
        elif re.match(r"[a-z]+:", target):
            continue
        else:
            path = (document.path.parent / target).resolve() if target else document.path
        anchors = read(path).anchors if path.suffix == ".md" and path.exists() else set()
        if not path.exists() or (anchor and anchor not in anchors):
            broken.append(link)
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    left = [README]
    while left:
        path = left.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        for link in read(path).links:
            target = link.partition("#")[0]
            if target and ":" not in target:
                place = (path.parent / target).resolve()
                left.append(place / "README.md" if place.is_dir() else place)
    pages = set(DOCS.rglob("*.md")) - set(CATALOG)
    assert sorted(str(page.relative_to(ROOT)) for page in pages - reached) == []


@pytest.mark.parametrize("path", CATALOG, ids=lambda path: path.name)
def test_the_pages_of_the_catalog_stand_alone(path: Path) -> None:
    page = read(path)
    assert [link for link in page.links if not link.startswith("https://")] == []
    titles = re.findall(r"^# ", page.prose, re.MULTILINE)
    assert titles == [], "the catalog has a title of its own"


def test_every_block_says_its_language() -> None:
    blocks = [block for document in DOCUMENTS for block in document.blocks]
    assert [str(block) for block in blocks if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("block", _blocks("bash"), ids=str)
def test_commands_exist_as_they_are_written(block: Block) -> None:
    syntax = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    assert syntax.returncode == 0, syntax.stderr
    found = {" ".join(words): complaint(words) for words in commands(block.text)}
    assert found
    assert {command: wrong for command, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_commands_in_the_text_exist(document: Document) -> None:
    wrong = {}
    for span in document.code_spans:
        if not span.startswith(("repro ", "snakemake ")) or _UNFINISHED.search(span):
            continue
        for words in commands(span):
            problem = complaint(words)
            # the bare name of a command that needs an argument is no call of it
            if problem is not None and " ".join(words[1:]) not in NAMED:
                wrong[span] = problem
    assert wrong == {}


@pytest.mark.parametrize(
    "command",
    [
        "repro sing",
        "repro report --nonsense",
        "repro lineage",
        "repro init superfluous",
        "snakemake --executor rey",
        "snakemake --executor ray --ray-tier sideways",
        "snakemake --executor ray --ray-no-such-flag",
        "python tests/benchmarks/bench_nothing.py",
        "python -m turtle",
        "pytest tests/no_such_folder",
        "sudo reboot",
    ],
)
def test_a_wrong_command_would_be_noticed(command: str) -> None:
    [words] = commands(command)
    assert complaint(words) is not None


def test_commands_are_taken_apart_as_a_shell_does() -> None:
    text = "A=1 B='x y' snakemake --config \"a=b c\" \\\n  -n > log && cd x | repro log # why\n"
    assert list(commands(text)) == [
        ["snakemake", "--config", "a=b c", "-n"],
        ["cd", "x"],
        ["repro", "log"],
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_flags_variables_and_files_of_ours_exist(document: Document) -> None:
    text = document.path.read_text(encoding="utf-8")
    flags = {setting["cliarg"] for kind in ("executor", "logger") for setting in _settings(kind)}
    named = {span for span in document.code_spans if _OUR_FILE.fullmatch(span)}
    missing = {name for name in named if not (ROOT / name).exists()}
    assert set(_OUR_FLAG.findall(text)) - flags == set()
    assert set(_OUR_VARIABLE.findall(text)) - _known_variables() == set()
    assert missing == set()


@pytest.mark.parametrize("block", _blocks("python"), ids=str)
def test_python_compiles(block: Block) -> None:
    if not _is_snakefile(block):
        compile(block.text, str(block), "exec")


def test_snakefiles_are_accepted_by_snakemake(tmp_path: Path) -> None:
    script = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings

wrong = {}
for name in sys.argv[1:]:
    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1), snakefile=Path(name), workdir=Path()
            )
            workflow.list_rules()
    except BaseException as exc:
        wrong[Path(name).stem] = f"{type(exc).__name__}: {exc}"
print("wrong:", json.dumps(wrong))
"""
    blocks = [block for block in _blocks("python", "snakemake") if _is_snakefile(block)]
    names = []
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}-{block.path.stem}-{block.line}.smk"
        path.write_text(block.text, encoding="utf-8")
        names.append(path.name)
    assert names
    done = subprocess.run(
        [sys.executable, "-c", script, *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.rpartition("wrong:")[2]) == {}


@pytest.mark.parametrize("block", _blocks("yaml"), ids=str)
def test_yaml_is_yaml(block: Block) -> None:
    assert yaml.safe_load(block.text) is not None


@pytest.mark.parametrize("block", _blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    whole = block.text.startswith("{\n")
    for text in [block.text] if whole else block.text.splitlines():
        json.loads(text)


def _settings(kind: str) -> list[dict[str, Any]]:
    if kind == "executor":
        return list(ExecutorPluginRegistry().get_plugin("ray").get_settings_info())
    return list(LoggerPluginRegistry().get_plugin("repro").get_settings_info())


def _known_variables() -> set[str]:
    """Return the variables that our code and our tests know."""
    found: set[str] = set()
    for folder in ("snakemake_repro", "snakemake_executor_plugin_ray", "tests", "workflow"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(_OUR_VARIABLE.findall(path.read_text(encoding="utf-8")))
    return found


@pytest.mark.parametrize(("kind", "page"), [("executor", "executor.md"), ("logger", "logger.md")])
def test_the_table_of_flags_is_complete(kind: str, page: str) -> None:
    """``REPRO_UPDATE_REFERENCE=1 pytest tests/test_docs.py`` writes it anew."""
    path = DOCS / "reference" / page
    rows = ["| flag | default | meaning |", "|---|---|---|"]
    for setting in _settings(kind):
        default = setting["default"]
        shown = "" if default is None else "off" if default is False else f"`{default}`"
        meaning = str(setting["help"]).replace("|", "\\|")
        rows.append(f"| `{setting['cliarg']}` | {shown} | {meaning} |")
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition("<!-- flags -->\n")
    _, end, after = rest.partition("<!-- end of flags -->\n")
    assert begin
    assert end
    expected = "".join([before, begin, "\n".join(rows), "\n", end, after])
    if os.environ.get("REPRO_UPDATE_REFERENCE"):
        path.write_text(expected, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == expected, (
        f"{page} is stale: REPRO_UPDATE_REFERENCE=1 pytest tests/test_docs.py"
    )


def test_what_a_job_finds_in_its_environment_is_described() -> None:
    rows = read(DOCS / "reference" / "executor.md").table("What a job finds in its environment")
    described = {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert set(resources.THREAD_VARIABLES) <= set(described)
    assert f"`{variables._EPOCH}`" in described["SOURCE_DATE_EPOCH"]
    tree = ast.parse(Path(variables.__file__).read_text(encoding="utf-8"))
    [description] = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "description"
    ]
    assert isinstance(description, ast.Dict)
    keys = [ast.literal_eval(key) for key in description.keys if key is not None]
    assert re.findall(r"`(\w+)`", described["REPRO_JOB"]) == keys


def test_messages_that_are_explained_exist() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("snakemake_repro", "snakemake_executor_plugin_ray")
        for path in (ROOT / folder).rglob("*.py")
    )
    rows = read(DOCS / "how-to" / "ray-cluster.md").table("When it does not work")
    shown = [message for row in rows for message in re.findall(r"`([^`]+)`", row[0])]
    parts = [part.strip() for message in shown for part in message.split("...") if part.strip()]
    assert len(parts) > len(rows)
    assert [part for part in parts if part not in sources] == []


NOT_STORED = {"EnvironmentSpec"}
"""Records that travel with a job and are in no journal."""


def _stored_records() -> list[type[Record]]:
    found = [getattr(records, name) for name in records.__all__]
    return [
        item
        for item in found
        if isinstance(item, type)
        and issubclass(item, Record)
        and item not in (Record, Entry)
        and not issubclass(item, Entry)
        and item.__name__ not in NOT_STORED
    ]


def _type_name(hint: Any) -> str:
    """Return how the reference calls the JSON form of an annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        [inner] = [argument for argument in arguments if argument is not types.NoneType]
        return _type_name(inner)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"object of {_type_name(arguments[1])}"
    if hint is Any:
        return "JSON"
    if hint is Digest:
        return "digest"
    if issubclass(hint, Enum):
        return ", ".join(f"`{member.value}`" for member in hint)
    if issubclass(hint, Record):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return {str: "text", int: "integer", float: "number", bool: "true or false"}[hint]


def _default(field: dataclasses.Field[Any]) -> str:
    """Return what it means that a field is not there."""
    if field.default_factory is not dataclasses.MISSING:
        return "empty"
    if field.default is dataclasses.MISSING:
        return "required"
    if field.default is None:
        return "null"
    if field.default == ():
        return "empty"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return f"`{field.default.value if isinstance(field.default, Enum) else field.default}`"


@pytest.mark.parametrize("record", _stored_records(), ids=lambda record: record.__name__)
def test_every_field_of_the_records_is_described(record: type[Record]) -> None:
    hints = typing.get_type_hints(record)
    expected = [
        [f"`{field.name}`", _type_name(hints[field.name]), _default(field)]
        for field in dataclasses.fields(record)
    ]
    table = read(DOCS / "reference" / "record.md").table(record.__name__)
    assert [row[:3] for row in table] == expected
    assert [row[0] for row in table if not row[3]] == []


def test_every_kind_of_journal_line_is_described() -> None:
    page = read(DOCS / "reference" / "record.md")
    expected = {}
    for entry in Entry.__subclasses__():
        own = [f.name for f in dataclasses.fields(entry) if f.name not in ("run_id", "at")]
        expected[f"`{entry.kind}`"] = ", ".join(f"`{name}`" for name in own)
    assert {row[0]: row[1] for row in page.table("Lines of the journal")} == expected
    assert all(row[2] for row in page.table("Lines of the journal"))


def test_the_journal_lines_that_are_shown_can_be_read() -> None:
    [block] = [b for b in read(DOCS / "reference" / "record.md").blocks if b.language == "json"]
    for line in block.text.splitlines():
        entry = Entry.from_line(json.loads(line))
        assert entry is not None
        assert entry.to_line() == json.loads(line)


def test_every_command_has_its_place_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in main.commands if f"`repro {name}" not in text] == []


def test_decisions_say_what_they_cost() -> None:
    decisions = [read(path) for path in sorted((DOCS / "decisions").glob("[0-9]*.md"))]
    assert [int(d.path.name[:4]) for d in decisions] == list(range(1, len(decisions) + 1))
    for decision in decisions:
        assert re.findall(r"^## (.+)$", decision.prose, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ], decision


def test_pre_commit_runs_our_own_tools_and_fetches_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert [hook["entry"].split()[0] for hook in hooks] == ["ruff", "ruff", "mypy"]
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for tool in ("ruff check", "ruff format", "mypy"):
        assert any(hook["entry"].startswith(tool) for hook in hooks)
        assert f".venv/bin/{tool}" in lines


def test_measured_figures_name_their_command() -> None:
    page = read(DOCS / "performance.md")
    for heading in page.headings:
        for row in page.table(heading):
            if len(row) == 5:
                _what, limit, measured, command, commit = row
                assert all((limit, measured, commit)), row
                assert measured == "not measured yet" or command.startswith("`"), row


def test_no_document_holds_an_emoji() -> None:
    found = [
        (str(document), char)
        for document in DOCUMENTS
        for char in document.path.read_text(encoding="utf-8")
        if ord(char) > 0x2BFF
    ]
    assert found == []
