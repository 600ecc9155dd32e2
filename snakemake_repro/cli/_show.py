"""The record of a run as text: one line per attempt, or everything about some."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from snakemake_repro.cli import _terminal, _text
from snakemake_repro.logic.history import JobHistory, RunHistory
from snakemake_repro.logic.outcomes import label
from snakemake_repro.records import Digest, FileRecord, JobState, JobStatus, Origin

_FEW_ATTEMPTS = 100
_STYLES = {
    JobState.ACCEPTED: "green",
    JobState.RAN: "yellow",
    JobState.REJECTED: "red",
    JobState.INTERRUPTED: "yellow",
}


def attempts(history: RunHistory, console: Console, *, everything: bool) -> None:
    """Print one line per attempt, in the order in which they began."""
    run = history.run
    text = Text.assemble("Run ", (run.id, "bold"))
    text.append(f"\n{_text.moment(run.started)}, {_text.count(len(history.jobs), 'attempt')}")
    console.print(text)
    console.print()
    table = _terminal.table(
        ("job", "fold"), "attempt", "state", ("time", "right"), "key", "environment"
    )
    shown = history.jobs if everything else history.jobs[:_FEW_ATTEMPTS]
    for job in shown:
        record = job.record
        table.add_row(
            _terminal.name(label(job)),
            _terminal.plain(_text.short(record.id)),
            _state(job),
            _text.duration(None if record.use is None else record.use.wall_s),
            _terminal.digest(record.key),
            _terminal.digest(record.spec.environment),
        )
    console.print(table)
    for line in _terminal.rest(history.jobs, shown, "attempt"):
        console.print(line)


def details(history: RunHistory, console: Console) -> None:
    """Print everything about each attempt."""
    for number, job in enumerate(history.jobs):
        if number:
            console.print()
        console.print(_terminal.name(label(job), "bold"))
        console.print(_terminal.indented(_terminal.facts(tuple(_facts(job, history)))))


def _state(job: JobHistory) -> Text:
    if job.record.origin is Origin.REUSED:
        return Text("reused", style="dim")
    if job.record.status is not JobStatus.SUCCEEDED:
        return Text(job.record.status.value, style="red")
    return Text(job.state.value, style=_STYLES[job.state])


def _facts(job: JobHistory, history: RunHistory) -> Iterator[tuple[str, RenderableType]]:
    record, spec = job.record, job.record.spec
    yield "attempt", Text(f"{record.id}, number {record.attempt} of the job")
    yield "state", _state(job)
    for name, value in (
        ("error", record.error),
        ("not accepted", job.reason),
        ("Snakemake", record.reason),
        ("key", str(record.key or "-")),
        ("command", spec.command),
        ("code", f"{spec.kind} {spec.source_name or ''} {spec.code or ''}"),
        *(("", f"imports {_text.name(name)} {digest}") for name, digest in spec.modules.items()),
        ("environment", _environment(spec.environment, history)),
        ("parameters", _json(spec.named_params)),
        ("reported", _json(record.params_reported)),
        ("seeds", _json(record.seeds)),
        ("models", _json(record.models)),
        ("trials", _text.count(len(record.trials), "trial") if record.trials else None),
        ("resources", _json({"threads": spec.threads, **record.resources})),
        ("used", None if record.use is None else _json(record.use.to_dict())),
        ("host", _host(record.host, history)),
        ("started", None if record.started is None else _text.moment(record.started)),
        ("log", None if record.log is None else _text.name(record.log.path)),
        *(("found", finding) for finding in (*record.integrity, *record.violations)),
        ("metrics", "  ".join(f"{m.name}={_text.value(m.value)}" for m in record.metrics)),
    ):
        if value:
            yield name, _terminal.plain(value)
    yield "inputs", _files(spec.inputs)
    yield "outputs", _files(record.outputs)
    if record.artifacts:
        yield "artifacts", _files(record.artifacts)


def _host(host_id: str | None, history: RunHistory) -> str | None:
    host = history.hosts.get(host_id or "")
    return None if host is None else f"{host.name} ({host.os}, {host.cpu or host.machine})"


def _environment(digest: Digest | None, history: RunHistory) -> str | None:
    known = history.environment(digest)
    return None if digest is None else f"{'' if known is None else known.name} {digest}"


def _files(files: Iterable[FileRecord]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    for file in files:
        kind = "-" if file.digest is None else file.digest.value
        table.add_row(_terminal.name(file.path), Text(kind, style="cyan", overflow="fold"))
    return table


def _json(data: Mapping[str, object]) -> str | None:
    if not data:
        return None
    return json.dumps(dict(data), ensure_ascii=False, separators=(", ", ": "))
