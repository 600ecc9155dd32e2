"""The report of a run as Markdown, for a README, a pull request or a supplement.

Names stand in code spans, so that nothing in them is read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from snakemake_repro.cli import _text
from snakemake_repro.logic.made import Age
from snakemake_repro.logic.retelling import methods, rerun_line
from snakemake_repro.logic.summary import OutputFile, RunSummary
from snakemake_repro.records import Digest

_MARKUP = frozenset("\\`*_[]<>|~&")


def markdown(summary: RunSummary) -> str:
    """Return the report."""
    return "\n".join(
        (
            *_head(summary),
            *_results(summary),
            *_metrics(summary),
            *_inputs(summary),
            *_environments(summary),
            *_rules(summary),
            *_tolerances(summary),
            *_debts(summary),
            "\n## Methods\n",
            _plain(methods(summary)),
            "\n## Run it again\n",
            _block(rerun_line(summary)),
        )
    )


def _head(summary: RunSummary) -> Iterator[str]:
    yield f"# Run {_span(summary.run_id[:8])} of {_plain(summary.name)}\n"
    jobs = summary.jobs
    took = "" if summary.duration_s is None else f" after {_text.duration(summary.duration_s)}"
    yield (
        f"**{summary.verdict.value.capitalize()}**{took}: {_text.count(jobs.total, 'job')}, "
        f"{jobs.executed + jobs.local:,} executed, {jobs.reused:,} reused, {jobs.failed:,} failed, "
        f"{jobs.retried:,} retried.\n"
    )
    yield f"- started {_plain(summary.started)} by {_plain(summary.user or 'an unknown user')}"
    yield f"- command {_span(' '.join(_text.name(word) for word in summary.command))}"
    for source in summary.sources:
        if source.git is not None:
            state = "with uncommitted changes" if source.git.dirty else "clean"
            where = _span(source.git.url or source.uri)
            yield f"- code: commit {_span(source.git.commit or 'none')} of {where}, {state}"
    for name, version in summary.versions.items():
        yield f"- {_plain(name)} {_plain(version)}"


def _results(summary: RunSummary) -> Iterator[str]:
    final = sorted(
        (file for file in summary.outputs if file.final and not file.removed),
        key=lambda file: file.path,
    )
    yield from _section(
        "Results",
        ("file", "SHA-256", "job", "environment", "from"),
        [
            (
                _span(file.path),
                _digest(file.digest),
                _span(file.job),
                _span(file.environment or "not recorded"),
                _origin(file),
            )
            for file in final
        ],
    )


def _origin(file: OutputFile) -> str:
    if file.age is Age.NEW:
        return "this run"
    return "not recorded" if file.run_id is None else f"run {_span(file.run_id[:8])}"


def _metrics(summary: RunSummary) -> Iterator[str]:
    yield from _section(
        "Metrics",
        ("job", "metric", "value"),
        [(_span(one.job), _span(one.name), _text.value(one.value)) for one in summary.metrics],
    )


def _inputs(summary: RunSummary) -> Iterator[str]:
    yield from _section(
        "Inputs",
        ("file", "size", "SHA-256"),
        [
            (_span(file.path), _text.size(file.size), _digest(file.digest))
            for file in summary.inputs
        ],
    )


def _environments(summary: RunSummary) -> Iterator[str]:
    yield from _section(
        "Environments",
        ("name", "digest", "state", "jobs", "packages"),
        [
            (
                _span(one.name),
                _digest(one.digest),
                "pinned" if one.pinned else "not pinned",
                f"{one.jobs:,}",
                f"{one.packages:,}",
            )
            for one in summary.environments
        ],
    )


def _rules(summary: RunSummary) -> Iterator[str]:
    yield from _section(
        "Cost",
        ("rule", "jobs", "time", "CPU", "peak memory"),
        [
            (
                _span(rule.rule),
                f"{rule.jobs.total:,}",
                _text.duration(rule.wall_s),
                _text.duration(rule.cpu_s),
                _text.size(None if rule.max_rss_mb is None else rule.max_rss_mb * 1024 * 1024),
            )
            for rule in summary.rules
        ],
    )


def _tolerances(summary: RunSummary) -> Iterator[str]:
    yield from _section(
        "Compared by content",
        ("rule", "files", "comparator", "because"),
        [
            (
                _span(one.rule),
                f"{one.files:,}",
                _span(one.comparator),
                _plain(one.cause or "not said"),
            )
            for one in summary.tolerances
        ],
    )


def _debts(summary: RunSummary) -> Iterator[str]:
    yield "\n## Reproducibility debts\n"
    if not summary.debts:
        yield "None was found."
    for debt in summary.debts:
        of = "" if debt.run_id is None else f"reused from run {_span(debt.run_id[:8])}: "
        yield f"- **{debt.code}**: {of}{_plain(debt.message)}. {_plain(debt.remedy)}"


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table under its title, if there is anything in it."""
    if not rows:
        return
    yield f"\n## {title}\n"
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _digest(digest: Digest | None) -> str:
    return "-" if digest is None else _span(digest.value)


def _plain(text: str) -> str:
    """Return a text in which nothing is markup."""
    return "".join(f"\\{char}" if char in _MARKUP else char for char in _text.inert(text))


def _span(text: str) -> str:
    """Return a name as a code span, also in a table, also with backticks in it."""
    shown = _text.name(text)
    fence = "`" * (1 + max(map(len, _runs(shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}".replace("|", "\\|")


def _block(text: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, _runs(text)), default=0))
    return f"{fence}bash\n{_text.inert(text)}\n{fence}"


def _runs(text: str) -> Iterator[str]:
    """Yield the runs of backticks in a text."""
    run = ""
    for char in f"{text} ":
        if char == "`":
            run += char
        elif run:
            yield run
            run = ""
