"""The report of a run as text for a terminal of 80 columns or more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from snakemake_repro.cli import _terminal, _text
from snakemake_repro.cli._report_metrics import metrics, origin
from snakemake_repro.logic.made import Age
from snakemake_repro.logic.outcomes import Result
from snakemake_repro.logic.retelling import methods, rerun_line
from snakemake_repro.logic.summary import (
    InputFile,
    OutputFile,
    RunSummary,
    Verdict,
)
from snakemake_repro.records import EnvironmentKind, GitState, Source

_FEW_RESULTS = 24
_FEW_INPUTS = 12
_FEW_FAILURES = 8
_FEW_DEBTS = 12
_WIDEST_COMMAND = 240

_VERDICTS = {
    Verdict.SUCCEEDED: ("succeeded", "bold green"),
    Verdict.FAILED: ("failed", "bold red"),
    Verdict.INTERRUPTED: ("was interrupted", "bold yellow"),
    Verdict.UNFINISHED: ("has no end on record", "bold yellow"),
}


def render(summary: RunSummary, console: Console, *, everything: bool) -> None:
    """Print the report.

    Args:
        summary: What to say.
        console: Where to.
        everything: List every file instead of summing up.
    """
    for part in (
        _verdict(summary),
        _facts(summary),
        *_failures(summary),
        *_results(summary, everything=everything),
        *metrics(summary, console.width, everything=everything),
        *_inputs(summary, everything=everything),
        *_environments(summary),
        *_rules(summary),
        *_tolerances(summary),
        *_debts(summary),
        *_retold(summary),
    ):
        console.print(part)


def _verdict(summary: RunSummary) -> Text:
    words, style = _VERDICTS[summary.verdict]
    text = Text.assemble("Run ", (_text.short(summary.run_id), "bold"), " ", (words, style))
    if summary.duration_s is not None:
        text.append(f" after {_text.duration(summary.duration_s)}")
    text.append(f", {_text.age(summary.finished or summary.started)}", style="dim")
    text.append(".\n")
    jobs = summary.jobs
    parts = [
        f"{jobs.executed:,} executed",
        f"{jobs.local:,} local" if jobs.local else "",
        f"{jobs.reused:,} reused",
        f"{jobs.failed:,} failed",
        f"{jobs.interrupted:,} interrupted" if jobs.interrupted else "",
        f"{jobs.unconfirmed:,} unconfirmed" if jobs.unconfirmed else "",
    ]
    text.append(f"{_text.count(jobs.total, 'job')}: {', '.join(filter(None, parts))}")
    if jobs.retried:
        text.append(f"; {jobs.retried:,} retried")
    if jobs.resubmitted:
        text.append(f"; {jobs.resubmitted:,} resubmitted after a loss")
    text.append(".\n")
    if summary.debts:
        text.append(f"{_text.count(len(summary.debts), 'reproducibility debt')}, see the end.")
    elif summary.verdict is Verdict.SUCCEEDED:
        text.append("No reproducibility debt was found.", style="green")
    text.rstrip()
    return text


def _facts(summary: RunSummary) -> RenderableType:
    who = _text.inert(summary.user or "an unknown user")
    host = summary.host
    where = "" if host is None else f" on {_text.inert(host.name)} ({_text.inert(host.os)})"
    command = " ".join(_text.name(word) for word in summary.command)
    if len(command) > _WIDEST_COMMAND:
        command = command[: _WIDEST_COMMAND - 4] + " ..."
    rows: list[tuple[str, RenderableType]] = [
        ("started", Text(f"{_text.moment(summary.started)} by {who}{where}")),
        ("command", Text(command or "-")),
        *(
            ("code", _source(source, source.git))
            for source in summary.sources
            if source.git is not None
        ),
    ]
    if not summary.sources or summary.sources[0].git is None:
        rows.append(("code", Text("not under git", style="yellow")))
    if summary.versions:
        versions = (f"{_text.inert(k)} {_text.inert(v)}" for k, v in summary.versions.items())
        rows.append(("versions", Text(", ".join(versions), style="dim")))
    if summary.experiment is not None:
        place = "" if summary.tracking_uri is None else f" at {_text.inert(summary.tracking_uri)}"
        rows.append(("MLflow", Text(f"experiment {_text.name(summary.experiment)}{place}")))
    return Group(Text(), _terminal.facts(rows))


def _source(source: Source, git: GitState) -> Text:
    text = Text("commit " + _text.inert((git.commit or "none")[:12]))
    if git.branch:
        text.append(f" on {_text.name(git.branch)}")
    if git.dirty:
        text.append(", dirty", style="yellow")
        if git.diff_digest is not None:
            text.append(f" (diff {git.diff_digest.short})", style="yellow")
    else:
        text.append(", clean", style="green")
    text.append("\n" + (_text.inert(git.url) if git.url else _text.name(source.uri)), style="dim")
    return text


def _failures(summary: RunSummary) -> Iterator[RenderableType]:
    if not summary.failures:
        return
    yield _terminal.heading("Not done")
    for failure in summary.failures[:_FEW_FAILURES]:
        text = Text()
        text.append(_text.name(failure.job), style="bold")
        style = "red" if failure.result is Result.FAILED else "yellow"
        text.append(f"  {failure.result.value}", style=style)
        if failure.attempts > 1:
            text.append(f" after {failure.attempts} attempts")
        if failure.error:
            text.append(f": {_text.inert(failure.error)}")
        if failure.log:
            text.append(f"\n  log: {_text.name(failure.log)}", style="dim")
        yield _terminal.indented(text)
    if len(summary.failures) > _FEW_FAILURES:
        yield _more(len(summary.failures) - _FEW_FAILURES, "job")


def _more(count: int, what: str) -> RenderableType:
    return _terminal.indented(Text(f"and {_text.count(count, f'more {what}')}", style="dim"))


def _results(summary: RunSummary, *, everything: bool) -> Iterator[RenderableType]:
    final = [file for file in summary.outputs if file.final and not file.removed]
    between = [file for file in summary.outputs if not file.final or file.removed]
    for title, files, few in (
        ("Results", final, everything or len(final) <= _FEW_RESULTS),
        ("On the way", between, everything),
    ):
        if files:
            yield _terminal.heading(title, _text.count(len(files), "file"))
            yield _terminal.indented(_result_list(files) if few else _result_sums(files))


def _result_list(results: Sequence[OutputFile]) -> Table:
    table = _terminal.table(("file", "fold"), "sha256", "from")
    for file in sorted(results, key=lambda file: file.path):
        made = Text(_text.name(file.job), style="dim", overflow="fold")
        if file.environment is not None:
            made.append(f", {_text.name(_stem(file.environment))}")
        what = Group(_terminal.name(file.path), _terminal.indented(made))
        table.add_row(what, _terminal.digest(file.digest), origin(file))
    return table


def _stem(environment: str) -> str:
    """Return the short name of an environment: ``xgboost`` of ``envs/xgboost.yaml``.

    Of an image it is what follows the last slash, with the tag.
    """
    path = PurePosixPath(environment)
    return path.name if "://" in environment else path.stem or environment


def _result_sums(results: Sequence[OutputFile]) -> Table:
    table = _terminal.table(
        ("made by", "fold"),
        ("files", "right"),
        ("size", "right"),
        ("new", "right"),
        ("reused", "right"),
        ("one of them", "fold"),
    )
    by_rule: dict[str, list[OutputFile]] = {}
    for file in results:
        by_rule.setdefault(file.rule, []).append(file)
    for rule, files in by_rule.items():
        ages = Counter(file.age for file in files)
        table.add_row(
            _terminal.name(rule),
            f"{len(files):,}",
            _text.size(sum(file.size or 0 for file in files)),
            f"{ages[Age.NEW]:,}",
            f"{len(files) - ages[Age.NEW]:,}",
            _terminal.name(files[0].path),
        )
    return table


def _inputs(summary: RunSummary, *, everything: bool) -> Iterator[RenderableType]:
    if not summary.inputs:
        return
    yield _terminal.heading("Inputs", f"{_text.count(len(summary.inputs), 'file')} no job made")
    few = everything or len(summary.inputs) <= _FEW_INPUTS
    yield _terminal.indented(_input_list(summary.inputs) if few else _input_sums(summary.inputs))


def _input_list(inputs: Sequence[InputFile]) -> Table:
    table = _terminal.table(("file", "fold"), ("size", "right"), "sha256", ("read by", "fold"))
    for file in inputs:
        table.add_row(
            _terminal.name(file.path),
            _text.size(file.size),
            _terminal.digest(file.digest),
            _terminal.plain(", ".join(_text.name(rule) for rule in file.rules)),
        )
    return table


def _input_sums(inputs: Sequence[InputFile]) -> Table:
    table = _terminal.table(
        ("directory", "fold"), ("files", "right"), ("size", "right"), ("read by", "fold")
    )
    groups: dict[str, list[InputFile]] = {}
    for file in inputs:
        groups.setdefault(str(PurePosixPath(file.path).parent), []).append(file)
    for directory, files in groups.items():
        rules = dict.fromkeys(rule for file in files for rule in file.rules)
        table.add_row(
            _terminal.name(directory),
            f"{len(files):,}",
            _text.size(sum(file.size or 0 for file in files)),
            _terminal.plain(", ".join(_text.name(rule) for rule in rules)),
        )
    return table


def _environments(summary: RunSummary) -> Iterator[RenderableType]:
    if not summary.environments:
        return
    yield _terminal.heading("Environments")
    table = _terminal.table(
        ("name", "fold"),
        "kind",
        "digest",
        "state",
        ("jobs", "right"),
        "python",
        ("packages", "right"),
    )
    for environment in summary.environments:
        pinned = Text("pinned", style="green")
        if not environment.pinned:
            unknown = environment.pinned is None
            pinned = Text("unknown" if unknown else "not pinned", style="yellow")
        kind = environment.kind or EnvironmentKind.HOST
        table.add_row(
            _terminal.name(environment.name),
            "-" if environment.kind is None else kind.value,
            _terminal.digest(environment.digest),
            pinned,
            f"{environment.jobs:,}",
            _terminal.plain(environment.python or "-"),
            f"{environment.packages:,}",
        )
    yield _terminal.indented(table)


def _rules(summary: RunSummary) -> Iterator[RenderableType]:
    if not summary.rules:
        return
    yield _terminal.heading("Cost by rule", "time summed over attempts, memory at its peak")
    counts = {"reused": "reused", "failed": "failed", "retried": "retried"}
    shown = [name for name in counts if any(getattr(r.jobs, name) for r in summary.rules)]
    table = _terminal.table(
        ("rule", "fold"),
        ("jobs", "right"),
        *((name, "right") for name in shown),
        ("time", "right"),
        ("CPU", "right"),
        ("memory", "right"),
    )
    for rule in summary.rules:
        memory = None if rule.max_rss_mb is None else rule.max_rss_mb * 1024 * 1024
        table.add_row(
            _terminal.name(rule.rule),
            f"{rule.jobs.total:,}",
            *(f"{getattr(rule.jobs, name):,}" for name in shown),
            _text.duration(rule.wall_s),
            _text.duration(rule.cpu_s),
            _text.size(memory),
        )
    yield _terminal.indented(table)


def _tolerances(summary: RunSummary) -> Iterator[RenderableType]:
    if not summary.tolerances:
        return
    yield _terminal.heading("Compared by content", "not byte for byte")
    table = _terminal.table(
        ("rule", "fold"), ("files", "right"), ("comparator", "fold"), ("because", "fold")
    )
    for one in summary.tolerances:
        because = _terminal.plain(one.cause) if one.cause else Text("not said", style="yellow")
        table.add_row(
            _terminal.name(one.rule), f"{one.files:,}", _terminal.plain(one.comparator), because
        )
    yield _terminal.indented(table)


def _debts(summary: RunSummary) -> Iterator[RenderableType]:
    if not summary.debts:
        return
    yield _terminal.heading("Reproducibility debts", "what stands between this and an exact repeat")
    for debt in summary.debts[:_FEW_DEBTS]:
        table = Table.grid(padding=(0, 1, 0, 0))
        table.add_column(width=1)
        table.add_column(overflow="fold")
        text = Text()
        if debt.run_id is not None:
            text.append(f"reused from run {_text.short(debt.run_id)}: ", style="dim")
        text.append(_text.inert(debt.message))
        if debt.examples:
            more = ", ..." if debt.jobs > len(debt.examples) else ""
            names = ", ".join(_text.name(example) for example in debt.examples)
            text.append(f" ({names}{more})", style="dim")
        text.append(f"\n{debt.remedy}", style="dim")
        table.add_row(Text("-", style="yellow"), text)
        yield _terminal.indented(table)
    if len(summary.debts) > _FEW_DEBTS:
        yield _more(len(summary.debts) - _FEW_DEBTS, "debt")


def _retold(summary: RunSummary) -> Iterator[RenderableType]:
    yield _terminal.heading("Methods", "to paste into a paper")
    yield _terminal.indented(_terminal.plain(methods(summary)))
    again = f"repro rerun {_text.short(summary.run_id)}, or by hand"
    yield _terminal.heading("Run it again", again)
    yield _terminal.indented(Text(_text.inert(rerun_line(summary)), overflow="fold"))
