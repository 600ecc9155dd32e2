"""What the script of a report's page reads: jobs and files as compact JSON.

Names and texts are made inert here, as everywhere; the page shows them as they come. Fields
without a value are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from snakemake_repro.cli import _text
from snakemake_repro.cli._json import plain
from snakemake_repro.logic.atlas import Atlas, FilePlace, JobPlace, RunPlace
from snakemake_repro.logic.lineage import Step
from snakemake_repro.logic.made import last_metrics
from snakemake_repro.records import EnvironmentRecord, FileKind

_LONGEST = 240
"""Characters of a command or a parameter; the whole is in the record."""
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""What a browser could read as the end of the data, or as markup in it."""


def data(atlas: Atlas) -> str:
    """Return a run's jobs and files as JSON that may stand in HTML."""
    document = {
        "runs": [_run(run) for run in atlas.runs],
        "rules": [_text.name(rule) for rule in atlas.rules],
        "environments": [_environment(one) for one in atlas.environments],
        "files": [_file(file) for file in atlas.files],
        "jobs": [_job(job) for job in atlas.jobs],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return "".join(_ESCAPED.get(char, char) for char in text)


def _some(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", (), [], {})}


def _run(run: RunPlace) -> dict[str, Any]:
    return _some(
        {
            "id": _text.inert(run.id),
            "started": _text.moment(run.started),
            "commit": run.commit and _text.inert(run.commit),
            "url": run.url and _text.inert(run.url),
            "dirty": run.dirty or None,
        }
    )


def _environment(record: EnvironmentRecord) -> dict[str, Any]:
    return _some(
        {
            "name": _text.name(record.name),
            "kind": record.kind.value,
            "digest": record.digest.value,
            "pinned": record.pinned or None,
        }
    )


def _file(file: FilePlace) -> dict[str, Any]:
    return _some(
        {
            "path": _text.name(file.path),
            "digest": None if file.digest is None else file.digest.value,
            "size": None if file.size is None else _text.size(file.size),
            "kind": None if file.kind is FileKind.FILE else file.kind.value,
            "maker": file.maker,
            "altered": file.altered or None,
            "elsewhere": file.elsewhere and _step(file.elsewhere),
            "removed": file.removed or None,
        }
    )


def _step(step: Step) -> dict[str, Any]:
    return _some(
        {
            "label": _text.name(step.label),
            "id": _text.inert(step.run_id),
            "started": _text.moment(step.started or step.at),
            "commit": step.commit and _text.inert(step.commit),
            "dirty": step.dirty or None,
            "name": step.environment_name and _text.name(step.environment_name),
            "digest": step.environment and step.environment.value,
            "pinned": step.pinned or None,
        }
    )


def _job(job: JobPlace) -> dict[str, Any]:
    return _some(
        {
            "rule": job.rule,
            "values": _text.inert(job.values),
            "result": job.result.value,
            "attempts": job.attempts if job.attempts > 1 else None,
            "id": _text.inert(job.id),
            "key": None if job.key is None else job.key.value,
            "run": job.run,
            "environment": job.environment,
            "host": job.host and _text.inert(job.host),
            "started": job.started and _text.moment(job.started),
            "time": None if job.wall_s is None else _text.duration(job.wall_s),
            "cpu": None if job.cpu_s is None else _text.duration(job.cpu_s),
            "memory": None if job.max_rss_mb is None else _text.size(job.max_rss_mb * 1024 * 1024),
            "code": _short(job.command or job.source_name or job.kind),
            "params": {_text.inert(k): _short(_json(v)) for k, v in job.params.items()},
            "seeds": {_text.inert(name): str(seed) for name, seed in job.seeds.items()},
            "metrics": {
                _text.inert(metric.name): _text.value(metric.value)
                for metric, _ in last_metrics(job.metrics)
            },
            "error": job.error and _text.inert(job.error),
            "log": job.log and _text.name(job.log),
            "remarks": [_text.inert(remark) for remark in job.remarks],
            "inputs": job.inputs,
            "outputs": job.outputs,
        }
    )


def _json(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False)


def _short(text: str) -> str:
    shown = _text.inert(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 4]} ..."
