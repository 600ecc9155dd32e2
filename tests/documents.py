"""Our documents as tests read them: fenced blocks, links, tables, and the commands in them."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/snakemake-repro/snakemake-executor-plugin-ray"

PROGRAMS = frozenset(
    (
        "cat", "cd", "cp", "docker", "echo", "export", "git", "mkdir", "mlflow", "mv", "openssl", "pip", "pre-commit",
        "pytest", "python", "python3", "ray", "repro", "rm", "ruff", "mypy", "snakemake", "bash",
        "source", "ssh", "tail",
    )
)  # fmt: skip
"""What our documents may tell a reader to run."""

MODULES = frozenset(("build", "pip", "pytest", "snakemake", "venv"))
"""What may follow ``python -m``."""

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[\w-]*)[^\n]*$")
_HEADING = re.compile(r"^(?P<level>#{1,6}) +(?P<title>.+?) *$")
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
_CODE_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_SEPARATORS = frozenset(("&&", "||", "|", ";", "&", "(", ")"))
_REDIRECTIONS = frozenset((">", ">>", "<", "2>", ">&"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        line: Of the opening fence, counted from 1.
        heading: The nearest heading above.
        lead: The last line of prose above, empty if another block stands between.
    """

    path: Path
    line: int
    language: str
    text: str
    heading: str
    lead: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
    """A Markdown file, taken apart."""

    path: Path
    blocks: tuple[Block, ...]
    headings: tuple[str, ...]
    prose: str

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def links(self) -> list[str]:
        """Targets of the links in the prose."""
        return [match["target"] for match in _LINK.finditer(_CODE_SPAN.sub("", self.prose))]

    @property
    def code_spans(self) -> list[str]:
        """What stands in single backquotes."""
        return [" ".join(match[1].split()) for match in _CODE_SPAN.finditer(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """Names by which links reach the headings, as GitHub makes them."""
        return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in self.headings}

    def first(self, heading: str, language: str = "bash") -> Block:
        """Return the first block of a language below a heading."""
        return next(b for b in self.blocks if b.heading == heading and b.language == language)

    def table(self, heading: str) -> list[list[str]]:
        """Return the rows of the first table below a heading, without its head."""
        rows = []
        here = False
        for line in self.prose.splitlines():
            if match := _HEADING.match(line):
                if rows:
                    break
                here = match["title"] == heading
            elif here and line.startswith("|"):
                cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
                rows.append([cell.strip().replace("\\|", "|") for cell in cells])
            elif rows:
                break
        return rows[2:]


def read(path: Path) -> Document:
    """Take a Markdown file apart."""
    blocks, headings, prose = [], [], []
    opened: tuple[int, str, str] | None = None
    inside: list[str] = []
    lead = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, inside = (number, fence["fence"], fence["language"]), []
        elif opened is not None and line.strip() == opened[1]:
            blocks.append(
                Block(
                    path=path,
                    line=opened[0],
                    language=opened[2],
                    text="\n".join(inside) + "\n",
                    heading=headings[-1] if headings else "",
                    lead=lead,
                )
            )
            opened, lead = None, ""
        elif opened is not None:
            inside.append(line)
        else:
            if match := _HEADING.match(line):
                headings.append(match["title"].replace("`", ""))
            prose.append(line)
            lead = line.strip() or lead
    assert opened is None, f"{path}:{opened and opened[0]}: a block without an end"
    return Document(
        path=path, blocks=tuple(blocks), headings=tuple(headings), prose="\n".join(prose)
    )


def documents() -> list[Document]:
    """Return the README, the changelog and everything in docs/."""
    paths = (README, ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))
    return [read(path) for path in paths]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the commands of a shell text, without assignments and redirections."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        tokens = [*lexer, ";"]
        skip = False
        for token in tokens:
            if skip:
                skip = False
            elif token in _REDIRECTIONS:
                skip = True
            elif token in _SEPARATORS:
                while words and _ASSIGNMENT.fullmatch(words[0]):
                    del words[0]
                if words:
                    yield words
                words = []
            else:
                words.append(token)


def complaint(words: Sequence[str]) -> str | None:
    """Return what is wrong with a command: a program, flag, value or file that does not exist."""
    program, arguments = Path(words[0]).name, list(words[1:])
    if program in ("python", "python3") and arguments[:1] == ["-m"]:
        if arguments[1] not in MODULES:
            return f"unknown module {arguments[1]}"
        program, arguments = arguments[1], arguments[2:]
    elif program in ("python", "python3") or program == "bash":
        return _missing(arguments[:1])
    if program == "repro":
        return _repro(arguments)
    if program == "snakemake":
        return _snakemake(arguments)
    if program == "pytest":
        return _missing([word.partition("::")[0] for word in arguments if "/" in word])
    return None if program in PROGRAMS | MODULES else f"unknown program {program}"


def _missing(paths: Sequence[str]) -> str | None:
    return next((f"no file {path}" for path in paths if not (ROOT / path).exists()), None)


def _repro(arguments: list[str]) -> str | None:
    """Parse arguments as the command does, without looking at files that they name."""
    import click

    from snakemake_repro.cli import main

    try:
        if arguments in (["--help"], ["--version"]):
            return None
        # with the command's own settings: click keeps the first help option that it makes
        with click.Context(main, info_name="repro", **main.context_settings) as parent:
            command: click.Command | None = main
            words = list(arguments)
            while isinstance(command, click.Group):
                command = command.get_command(parent, words.pop(0)) if words else None
            if command is None:
                return f"there is no `repro {' '.join(arguments)}`"
            with click.Context(command, parent=parent) as context:
                values, rest, _ = command.make_parser(context).parse_args(words)
    except click.ClickException as exc:
        return exc.format_message()
    if rest:
        return f"superfluous: {rest}"
    # what is not given has a value that depends on click's version, and is no text
    given = {name for name, value in values.items() if isinstance(value, str | tuple) and value}
    needed = {str(p.name) for p in command.params if p.required} - given
    return f"missing: {sorted(needed)}" if needed else None


def _snakemake(arguments: list[str]) -> str | None:
    """Parse arguments as Snakemake does, with the flags of our plugins."""
    import contextlib
    import io

    from snakemake_executor_plugin_ray.arguments import completed

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            _snakemake_parser().parse_args(list(completed(arguments)))
    except SystemExit as exc:
        return None if exc.code in (0, None) else said.getvalue().strip().splitlines()[-1]
    return None


_parsers: list[Any] = []


def _snakemake_parser() -> Any:
    if not _parsers:
        from snakemake.cli import get_argument_parser

        _parsers.append(get_argument_parser())
    return _parsers[0]
