"""Findings of a verification as text."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from snakemake_repro.cli import _terminal, _text
from snakemake_repro.operations.verify import Finding, State, Verification

_STYLES = {
    State.IDENTICAL: "green",
    State.CHANGED: "bold red",
    State.MISSING: "red",
    State.REMOVED: "dim",
    State.UNKNOWN: "yellow",
    State.UNREADABLE: "yellow",
}
_QUIET = (State.IDENTICAL, State.REMOVED)


def render(verification: Verification, console: Console, *, everything: bool) -> None:
    """Print what differs, and a verdict.

    Args:
        verification: What to say.
        console: Where to.
        everything: List identical files too.
    """
    table = _terminal.table("state", ("file", "fold"), "recorded", "found")
    for finding in verification.findings:
        if everything or finding.state not in _QUIET:
            table.add_row(*_row(finding))
    if table.row_count:
        console.print(table)
        console.print()
    console.print(_verdict(verification))


def _row(finding: Finding) -> tuple[Text, ...]:
    path = _terminal.name(finding.path)
    if finding.job is not None and finding.state is not State.IDENTICAL:
        path.append(f"\n  made by {_text.name(finding.job)}", style="dim")
    if finding.note is not None:
        path.append(f"\n  {_text.inert(finding.note)}", style="dim")
    return (
        Text(finding.state.value, style=_STYLES[finding.state]),
        path,
        _terminal.digest(finding.expected),
        _terminal.digest(finding.found),
    )


def _verdict(verification: Verification) -> Text:
    text = Text()
    if verification.run_id is not None:
        text.append(f"Run {_text.short(verification.run_id)}: ")
    counts = verification.counts
    if not verification.findings:
        return text.append("there is nothing to compare.")
    if not verification.differs and not verification.undecided:
        text.append("everything is as recorded", style="bold green")
    elif verification.differs:
        text.append("not as recorded", style="bold red")
    else:
        text.append("undecided", style="bold yellow")
    parts = [f"{number:,} {state.value}" for state, number in counts.items() if number]
    return text.append(f" ({', '.join(parts)}).")
