"""Differences as text: what changed, from what to what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from snakemake_repro.cli import _terminal, _text
from snakemake_repro.logic.change import Change, ChangeKind, FileChange, Judgement
from snakemake_repro.records import Digest, Json

_LONGEST = 60
"""Characters of a value; of a longer one both ends are shown."""
_FEW_LINES = 40
_FEW_FILES = 6
_DIFF_STYLES = (("+++", "bold"), ("---", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"))
_DIGEST = "sha256:"
_SHORT = 12
_SAID = {
    ChangeKind.NONDETERMINISM: "the same job key gave other bytes: the job is not deterministic, "
    "or something that its rule does not declare influenced it",
    ChangeKind.UNRECORDED: "results that no recorded job made were used",
}
_KINDS = {
    ChangeKind.CODE: "code of",
    ChangeKind.OUTPUTS: "output files",
    ChangeKind.RULE: "rule",
    ChangeKind.COMMAND: "command, by values that it formats",
    ChangeKind.OTHER: "field",
}


def headline(change: Change) -> Text:
    """Return a difference in one line."""
    if change.kind in _SAID:
        return Text(f"{change.kind.value} in {_text.name(change.name or '')}: {_SAID[change.kind]}")
    text = Text(_KINDS.get(change.kind, change.kind.value))
    if change.name is not None:
        text.append(" ")
        text.append(_text.name(change.name), style="bold")
    if change.kind is ChangeKind.CODE and None not in (change.old, change.new):
        return text.append(" changed")
    if change.old is None and change.kind in (ChangeKind.CODE, ChangeKind.INPUT):
        return text.append(" is new")
    if change.new is None and change.kind in (ChangeKind.CODE, ChangeKind.INPUT):
        return text.append(" is gone")
    text.append(": ")
    text.append(_value(change.old), style="red")
    text.append(" -> ")
    return text.append(_value(change.new), style="green")


def details(change: Change, *, everything: bool) -> Iterator[RenderableType]:
    """Yield the lines of code that differ, or that their text is not on record."""
    if change.kind is not ChangeKind.CODE or None in (change.old, change.new):
        return
    if not change.text:
        yield Text("its text was not recorded", style="dim")
        return
    shown = change.text if everything else change.text[:_FEW_LINES]
    for line in shown:
        yield _line(line)
    yield from _terminal.rest(change.text, shown, "line")


def files(changed: Sequence[FileChange], *, everything: bool) -> Iterator[RenderableType]:
    """Yield the outputs that differ."""
    shown = changed if everything else changed[:_FEW_FILES]
    for file in shown:
        text = _terminal.name(file.path)
        text.append(f"  {_digest(file.old)} -> {_digest(file.new)}", style="cyan")
        yield text
        if file.judgement is not None:
            yield _terminal.indented(_judgement(file.judgement))
    yield from _terminal.rest(changed, shown, "file")


def _judgement(judgement: Judgement) -> Text:
    asked = _text.inert(judgement.comparator)
    if judgement.difference is not None:
        return Text(f"beyond {asked}: {_text.inert(judgement.difference)}", style="red")
    text = Text(f"the same within {asked}", style="green")
    return text.append(f", because {_text.inert(judgement.cause)}" if judgement.cause else "")


def _line(line: str) -> Text:
    style = next((style for start, style in _DIFF_STYLES if line.startswith(start)), "")
    return Text(_text.inert(line), style=style, overflow="fold")


def _digest(value: Digest | None) -> str:
    return "none" if value is None else value.short


def _value(value: Json) -> str:
    """Return a value as JSON spells it, digests shortened, long ones without their middle."""
    if value is None:
        return "none"
    if isinstance(value, str):
        before, mark, digest = value.partition(_DIGEST)
        text = f"{before}{digest[:_SHORT]}" if mark else value
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = _text.inert(text)
    if len(text) > _LONGEST:
        half = _LONGEST // 2 - 2
        text = f"{text[:half]} .. {text[-half:]}"
    return text
