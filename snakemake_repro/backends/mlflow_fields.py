"""What MLflow is told of a run and of a job: names, tags, parameters, metrics, within its limits.

Limits (``mlflow.utils.validation``): 100 parameters or tags and 1,000 metrics in one request, 6,000
characters in a parameter, 8,000 in a tag, 250 in a name, 36 in a dataset's digest.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from snakemake_repro.logic.history import JobHistory, RunHistory
from snakemake_repro.records import (
    Digest,
    FileKind,
    FileRecord,
    GitState,
    JobState,
    JobStatus,
    Json,
    Metric,
    Trial,
    TrialState,
)

ATTEMPT_TAG = "repro.attempt_id"
RUN_TAG = "repro.run_id"
TRIAL_TAG = "repro.trial"
LINEAGE = "lineage"
"""Artifact folder of the complete record."""

DIGEST_LENGTH = 36
BEGUN_TAG = "repro.begun"
"""Says that everything known at a run's beginning is there."""

_MAX_DATASETS = 1_000
_MAX_PARAM = 6000
_MAX_TAG = 8000
_MAX_NAME = 250
_UNNAMEABLE = re.compile(r"[^\w./ -]")
_STEPS = ("", ".", "..")
_NOTE = " [cut: the complete value is in the record]"


def milliseconds(time: str | None) -> int | None:
    """Return a record's time as MLflow counts it, in milliseconds since the epoch."""
    return None if time is None else int(datetime.fromisoformat(time).timestamp() * 1000)


def name_of(text: str) -> str:
    """Return a text as a name that MLflow accepts: one that is a path, and the shortest one."""
    steps = _UNNAMEABLE.sub("_", plain(text)).split("/")
    name = "/".join("_" if step in _STEPS else step for step in steps)[:_MAX_NAME]
    if name.startswith(".."):
        name = f"_{name[1:]}"
    return f"{name[:-1]}_" if name.endswith("/") else name


def plain(text: str) -> str:
    """Return a text that every database takes: file names need not be Unicode."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def run_status(history: RunHistory) -> str:
    """Return MLflow's status of a workflow run that is over."""
    status = status_word(history)
    return {"succeeded": "FINISHED", "interrupted": "KILLED"}.get(status, "FAILED")


def job_status(job: JobHistory) -> str:
    """Return MLflow's status of an attempt."""
    if job.state is JobState.INTERRUPTED or job.record.status is JobStatus.INTERRUPTED:
        return "KILLED"
    if job.state is JobState.REJECTED or job.record.status is not JobStatus.SUCCEEDED:
        return "FAILED"
    return "FINISHED"


def run_tags(history: RunHistory) -> dict[str, str]:
    """Return the tags of a workflow run."""
    run = history.run
    git = run.git
    tags = {
        RUN_TAG: run.id,
        "repro.kind": "workflow",
        "repro.command": " ".join(run.command),
        "repro.snakefile": run.snakefile or "",
        "repro.executor": run.executor or "",
        "repro.targets": " ".join(run.targets),
        "repro.config_digest": str(run.config_digest or ""),
        "repro.host": _host(history, run.host),
        "repro.repeat_of": run.repeat_of or "",
        "repro.completeness": " ".join(run.completeness),
        "mlflow.note.content": f"One run of Snakemake. `repro report {run.id[:12]}` with "
        "`--tracking-uri` and this server tells all of it.",
        "mlflow.user": run.user or "",
        "mlflow.source.name": run.snakefile or run.name,
        "mlflow.source.type": "PROJECT",
        **{f"repro.version.{name}": version for name, version in run.versions.items()},
        **_git_tags(git),
    }
    return _within(tags)


def run_name(history: RunHistory) -> str:
    """Return how MLflow lists a workflow run."""
    run = history.run
    return plain(f"{run.name} {run.started[:19].replace('T', ' ')} {run.id[:8]}")[:_MAX_NAME]


def run_totals(history: RunHistory, status: str) -> dict[str, str]:
    """Return the tags that a workflow run has at its end."""
    states = Counter(job.state.value for job in history.jobs)
    origins = Counter(job.record.origin.value for job in history.jobs)
    totals = {f"repro.jobs.{name}": str(n) for name, n in sorted((states | origins).items())}
    return {"repro.status": status, "repro.jobs": str(len(history.jobs)), **totals}


def status_word(history: RunHistory) -> str:
    """Return how a workflow run that is over ended, in our words."""
    return "interrupted" if history.end is None else history.end.status


def run_params(history: RunHistory) -> dict[str, str]:
    """Return the parameters of a workflow run: its configuration."""
    return _params("config", history.run.config)


def job_name(job: JobHistory) -> str:
    """Return how MLflow lists an attempt: rule and wildcards."""
    spec = job.record.spec
    wildcards = ", ".join(f"{name}={value}" for name, value in spec.wildcards.items())
    return plain(f"{spec.rule} {wildcards}".strip())[:_MAX_NAME]


def job_tags(history: RunHistory, job: JobHistory) -> dict[str, str]:
    """Return the tags of an attempt, among them what answers "which run made this digest"."""
    record, spec = job.record, job.record.spec
    environment = history.environment(spec.environment)
    run = history.run
    git = run.git
    tags = {
        ATTEMPT_TAG: record.id,
        RUN_TAG: run.id,
        "repro.kind": "job",
        "repro.rule": spec.rule,
        "repro.wildcards": json.dumps(dict(spec.wildcards), ensure_ascii=False),
        "repro.job_key": str(record.key or ""),
        "repro.state": job.state.value,
        "repro.status": record.status.value,
        "repro.origin": record.origin.value,
        "repro.tier": record.tier.value,
        "repro.attempt": str(record.attempt),
        "repro.host": _host(history, record.host),
        "repro.error": record.error or job.reason or "",
        "repro.log": "" if record.log is None else record.log.path,
        "repro.integrity": "; ".join(record.integrity),
        "repro.group": record.group or "",
        "repro.inputs": _shown(len(spec.inputs), _MAX_DATASETS),
        "repro.command": spec.command or "",
        "repro.source": spec.source_name or "",
        "repro.code": str(spec.code or ""),
        "mlflow.user": run.user or "",
        "mlflow.source.name": run.snakefile or run.name,
        **_git_tags(git),
        **{f"repro.tag.{name_of(name)}": value for name, value in record.tags.items()},
    }
    if environment is not None:
        tags |= {
            "repro.environment": environment.name,
            "repro.environment.kind": environment.kind.value,
            "repro.environment.digest": str(environment.digest),
            "repro.environment.pinned": str(environment.pinned).lower(),
        }
        if environment.image is not None:
            tags["repro.environment.image"] = environment.image
    for index, file in enumerate(record.outputs):
        what = str(file.digest) if file.digest is not None else file.kind.value
        gone = " (removed by design)" if file.path in job.removed else ""
        tags[f"repro.output.{index}"] = f"{file.path} {what}{gone}"
        if file.digest is not None:
            tags[f"repro.sha256.{file.digest.value[:DIGEST_LENGTH]}"] = file.path
    return _within(tags)


def job_params(job: JobHistory) -> dict[str, str]:
    """Return the parameters of an attempt: the rule's, what its code reported, seeds, threads."""
    spec = job.record.spec
    named = {
        str(name) if name is not None else f"params.{index}": value
        for index, (name, value) in enumerate(spec.params)
    }
    params = {"threads": str(spec.threads), **_params("", named)}
    params |= _params("", job.record.params_reported)
    return params | {f"seed.{name_of(k)}": str(v) for k, v in job.record.seeds.items()}


def job_metrics(job: JobHistory) -> Iterator[tuple[str, float, int, int]]:
    """Yield name, value, timestamp and step of what an attempt reported and used."""
    record = job.record
    when = milliseconds(record.finished) or 0
    yield from metrics_of(record.metrics, when)
    if record.use is not None:
        for name, value in record.use.to_dict().items():
            yield f"use.{name}", float(value), when, 0


def metrics_of(metrics: Iterable[Metric], when: int) -> Iterator[tuple[str, float, int, int]]:
    """Yield name, value, timestamp and step of metrics; those without a time get that one."""
    for metric in metrics:
        yield name_of(metric.name), metric.value, metric.timestamp or when, metric.step


def trial_tags(job: JobHistory, trial: Trial) -> dict[str, str]:
    """Return the tags of one trial of a job."""
    return _within(
        {
            TRIAL_TAG: str(trial.number),
            "repro.state": trial.state.value,
            "repro.rule": job.record.spec.rule,
        }
    )


def trial_status(trial: Trial) -> str:
    """Return MLflow's status of a trial."""
    return {
        TrialState.COMPLETE: "FINISHED",
        TrialState.PRUNED: "KILLED",
        TrialState.FAILED: "FAILED",
    }[trial.state]


def trial_params(trial: Trial) -> dict[str, str]:
    """Return what a trial was given."""
    return _params("", trial.params)


def datasets(job: JobHistory) -> Iterator[tuple[str, FileRecord, Digest]]:
    """Yield context, file and digest of an attempt's inputs and outputs that have a digest.

    Of very many inputs only the first are shown; the record has all of them.
    """
    inputs = job.record.spec.inputs[:_MAX_DATASETS]
    for context, files in (("input", inputs), ("output", job.record.outputs)):
        for file in files:
            if file.digest is not None and file.kind in (FileKind.FILE, FileKind.DIRECTORY):
                yield context, file, file.digest


def _shown(count: int, limit: int) -> str:
    return str(count) if count <= limit else f"{count}, of which the first {limit} are shown"


def _git_tags(git: GitState | None) -> dict[str, str]:
    if git is None:
        return {"repro.git": "not under git"}
    return {
        "mlflow.source.git.commit": git.commit or "",
        "mlflow.source.git.branch": git.branch or "",
        "mlflow.source.git.repoURL": git.url or "",
        "repro.git.tree": git.tree or "",
        "repro.git.dirty": str(git.dirty).lower(),
        "repro.git.diff": str(git.diff_digest or ""),
    }


def _host(history: RunHistory, host_id: str | None) -> str:
    host = history.hosts.get(host_id or "")
    return host.name if host is not None else host_id or ""


def _params(prefix: str, data: Mapping[str, Json]) -> dict[str, str]:
    """Flatten nested values into dotted names."""
    found: dict[str, str] = {}
    for name, value in data.items():
        path = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and value:
            found |= _params(path, value)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found[name_of(path)] = _cut(text, _MAX_PARAM)
    return found


def _within(tags: Mapping[str, str]) -> dict[str, str]:
    return {name_of(name): _cut(value, _MAX_TAG) for name, value in tags.items() if value != ""}


def _cut(text: str, limit: int) -> str:
    text = plain(text)
    return text if len(text) <= limit else text[: limit - len(_NOTE)] + _NOTE
