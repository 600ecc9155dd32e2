"""A run as OpenLineage tells it: an event when it and each job began, and one when they ended."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from snakemake_repro.logic.activities import PROJECT, Activity
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.jsonld import readable
from snakemake_repro.logic.retelling import as_typed
from snakemake_repro.records import FileRecord, Json

_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_FILES = "file"
_ENGINE = "snakemake"


def events(history: RunHistory, activities: Sequence[Activity]) -> list[Json]:
    """Return the events of a run, of its attempts and of those whose results it reused, in order.

    Args:
        history: The run.
        activities: What was done for its results.
    """
    found = [*_run_events(history), *(event for one in activities for event in _job_events(one))]
    # a stable sort: of one moment, the beginning of the run comes first and its end last
    ends = [event for event in found if event["run"]["runId"] == _uuid(history.run.id)][1:]
    rest = [event for event in found if event not in ends]
    return [*sorted(rest, key=lambda event: str(event["eventTime"])), *ends]


def _run_events(history: RunHistory) -> Iterator[Json]:
    run = history.run
    git = run.git
    facets = {
        "processing_engine": _facet(
            "1-1-1/ProcessingEngineRunFacet",
            version=run.versions.get("snakemake", "unknown"),
            name=_ENGINE,
            openlineageAdapterVersion=run.versions.get("snakemake-executor-plugin-ray", "unknown"),
        )
    }
    command = readable(as_typed(run.command))
    code = {"sourceCode": _facet("1-0-1/SourceCodeJobFacet", language="shell", sourceCode=command)}
    if git is not None and git.commit is not None and git.url is not None:
        code["sourceCodeLocation"] = _facet(
            "1-0-1/SourceCodeLocationJobFacet", type="git", url=git.url, version=git.commit
        )
    job = {"namespace": _namespace(history), "name": _ENGINE, "facets": code}
    yield _event("START", run.started, run.id, job, facets)
    if history.end is not None:
        succeeded = history.end.status == "succeeded"
        failed = "ABORT" if history.end.status == "interrupted" else "FAIL"
        kind = "COMPLETE" if succeeded else failed
        yield _event(kind, history.end.finished, run.id, job, facets)


def _job_events(one: Activity) -> Iterator[Json]:
    record = one.record
    if record.started is None:
        return
    place = _namespace(one.history)
    code = {}
    text = one.history.codes.get(str(record.spec.code))
    if text is not None:
        code["sourceCode"] = _facet(
            "1-0-1/SourceCodeJobFacet", language=record.spec.kind, sourceCode=readable(text.text)
        )
    job = {"namespace": place, "name": f"{_ENGINE}.{record.spec.rule}", "facets": code}
    parent = {"run": {"runId": _uuid(record.run_id)}, "job": {"namespace": place, "name": _ENGINE}}
    facets = {
        "parent": _facet("1-0-1/ParentRunFacet", **parent),
        "repro_attempt": _facet(None, **_attempt(one)),
    }
    files = {"inputs": _datasets(one.inputs, place), "outputs": []}
    yield _event("START", record.started, record.id, job, facets, **files)
    if record.finished is None:
        return
    if one.error is None:
        files["outputs"] = _datasets(one.outputs, place)
        yield _event("COMPLETE", record.finished, record.id, job, facets, **files)
        return
    error = _facet(
        "1-0-1/ErrorMessageRunFacet",
        message=readable(one.error),
        programmingLanguage=record.spec.kind,
    )
    facets = {**facets, "errorMessage": error}
    yield _event("FAIL", record.finished, record.id, job, facets, **files)


def _attempt(one: Activity) -> dict[str, Json]:
    record, environment = one.record, one.environment
    return {
        "label": readable(one.label),
        "attempt": record.attempt,
        "reused": one.reused,
        "key": None if record.key is None else str(record.key),
        "environment": None if environment is None else str(environment.digest),
        "image": None if environment is None else environment.image,
        "params": record.spec.named_params,
    }


def _event(
    kind: str, at: str, run_id: str, job: Json, facets: Json, **files: Json
) -> dict[str, Json]:
    return {
        "eventType": kind,
        "eventTime": at,
        "run": {"runId": _uuid(run_id), "facets": facets},
        "job": job,
        "inputs": files.get("inputs", []),
        "outputs": files.get("outputs", []),
        "producer": PROJECT,
        "schemaURL": _SCHEMA,
    }


def _datasets(files: Iterable[FileRecord], place: str) -> list[Json]:
    return [
        {
            "namespace": _FILES,
            "name": f"{place}/{readable(file.path)}",
            "facets": {
                "version": _facet(
                    "1-0-1/DatasetVersionDatasetFacet", datasetVersion=str(file.digest)
                )
            }
            if file.digest is not None
            else {},
        }
        for file in files
    ]


def _facet(schema: str | None, **about: Json) -> dict[str, Json]:
    """Return a facet: one of the standard, or one of ours."""
    url = f"{PROJECT}/blob/main/docs/reference/record.md"
    if schema is not None:
        url = f"{_FACETS}/{schema}.json#/$defs/{schema.rpartition('/')[2]}"
    return {"_producer": PROJECT, "_schemaURL": url, **about}


def _namespace(history: RunHistory) -> str:
    return readable(history.run.name)


def _uuid(identifier: str) -> str:
    """Return one of our identifiers as UUIDs are written."""
    ends = (0, 8, 12, 16, 20, 32)
    return "-".join(identifier[start:end] for start, end in itertools.pairwise(ends))
