"""Results attested: in-toto statements with SLSA provenance, and what is signed of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from snakemake_repro.errors import RecordError
from snakemake_repro.logic.activities import PROJECT, Activity
from snakemake_repro.logic.history import RunHistory, results
from snakemake_repro.logic.jsonld import readable
from snakemake_repro.logic.retelling import as_typed
from snakemake_repro.records import Digest, EnvironmentRecord, FileKind, FileRecord, Json

_Makers: TypeAlias = Mapping[tuple[str, Digest | None], Activity]

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
PAYLOAD = "application/vnd.in-toto+json"

_BUILD = f"{PROJECT}/run@v1"
_DIRECTORY, _ENVIRONMENT = "directory1", "environment1"
"""How statements call digests that no file has as its SHA-256: those of our own schemes."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a statement is about."""

    path: str
    kind: FileKind
    digest: Digest


def statements(history: RunHistory, activities: Sequence[Activity]) -> Iterator[dict[str, Json]]:
    """Yield a statement for each target of a run, by path.

    Targets are the results that were asked for: those that a collecting rule names, or the command
    line, and those that no job read.

    Args:
        history: The run.
        activities: What was done for its results.
    """
    makers = {(file.path, file.digest): one for one in activities for file in one.outputs}
    for path, file in sorted(_targets(history, activities).items()):
        maker = makers.get((path, file.digest))
        if maker is not None and file.digest is not None:
            yield _statement(history, file, maker, makers)


def subjects(statement: Mapping[str, Json]) -> tuple[Subject, ...]:
    """Return what a statement is about.

    Raises:
        RecordError: It is no statement, or names something without a digest that is known here.
    """
    if statement.get("_type") != STATEMENT:
        raise RecordError(
            f"expected a statement of type {STATEMENT}, got {statement.get('_type')!r}"
        )
    found = []
    try:
        for one in statement["subject"]:
            digests = one["digest"]
            kind = FileKind.DIRECTORY if _DIRECTORY in digests else FileKind.FILE
            value = digests[_DIRECTORY if _DIRECTORY in digests else "sha256"]
            digest = Digest.parse(f"sha256:{value}")
            found.append(Subject(path=str(one["name"]), kind=kind, digest=digest))
    except (KeyError, TypeError) as exc:
        raise RecordError(f"the statement names something without a SHA-256: {exc}") from exc
    return tuple(found)


def pre_authentication(payload: bytes) -> bytes:
    """Return what is signed of a statement: its type and its bytes (DSSE, version 1)."""
    kind = PAYLOAD.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _targets(history: RunHistory, activities: Sequence[Activity]) -> dict[str, FileRecord]:
    standing = {path: file for path, (file, _) in results(history).items()}
    read = {file.path for one in activities for file in one.record.spec.inputs}
    collected = {
        file.path
        for job in history.jobs
        if job.record.spec.kind == "norun"
        for file in job.record.spec.inputs
    }
    asked = collected | set(history.run.targets)
    return {path: file for path, file in standing.items() if path in asked or path not in read}


def _statement(
    history: RunHistory, file: FileRecord, maker: Activity, makers: _Makers
) -> dict[str, Json]:
    return {
        "_type": STATEMENT,
        "subject": [{"name": readable(file.path), "digest": _digest_set(file)}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD,
                "externalParameters": {
                    "command": readable(as_typed(maker.history.run.command)),
                    "snakefile": maker.history.run.snakefile,
                    "rule": maker.record.spec.rule,
                    "wildcards": dict(maker.record.spec.wildcards),
                    "params": maker.record.spec.named_params,
                    "config": dict(maker.history.run.config),
                },
                "internalParameters": {
                    "key": None if maker.record.key is None else str(maker.record.key),
                    "seeds": dict(maker.record.seeds),
                    "threads": maker.record.spec.threads,
                },
                "resolvedDependencies": list(_dependencies(maker, makers)),
            },
            "runDetails": {
                "builder": {"id": PROJECT, "version": dict(maker.history.run.versions)},
                "metadata": {
                    "invocationId": f"{history.run.id}/{maker.record.id}",
                    **_times(maker),
                },
                "byproducts": list(_byproducts(maker)),
            },
        },
    }


def _times(maker: Activity) -> dict[str, Json]:
    times = {"startedOn": maker.record.started, "finishedOn": maker.record.finished}
    return {name: at for name, at in times.items() if at is not None}


def _dependencies(maker: Activity, makers: _Makers) -> Iterator[Json]:
    """Yield code, environment, what the job read, and what that was made of in the end."""
    run = maker.history.run
    git = run.git
    if git is not None and git.commit is not None:
        yield {
            "uri": f"git+{git.url}" if git.url is not None else f"git:{git.commit}",
            "digest": {"gitCommit": git.commit},
            "annotations": {"role": "code", "dirty": git.dirty},
        }
    if maker.record.spec.code is not None:
        yield {
            "name": maker.record.spec.source_name or f"rule {maker.record.spec.rule}",
            "digest": {"sha256": maker.record.spec.code.value},
            "annotations": {"role": "code of the job"},
        }
    if maker.environment is not None:
        yield from _where(maker.environment)
    direct = {(file.path, file.digest): file for file in maker.inputs}
    for file in direct.values():
        yield from _dependency(file, "input")
    for file in _origins(maker, makers):
        if (file.path, file.digest) not in direct:
            yield from _dependency(file, "origin")


def _where(environment: EnvironmentRecord) -> Iterator[Json]:
    yield {
        "name": readable(environment.name),
        "digest": {_ENVIRONMENT: environment.digest.value},
        "annotations": {"role": "environment", "pinned": environment.pinned},
    }
    if environment.image is not None:
        repository, _, digest = environment.image.rpartition("@sha256:")
        if repository:
            yield {
                "uri": f"docker://{environment.image}",
                "digest": {"sha256": digest},
                "annotations": {"role": "image"},
            }
    if environment.lock is not None:
        yield from _dependency(environment.lock, "lock")


def _dependency(file: FileRecord, role: str) -> Iterator[Json]:
    if file.digest is not None:
        about = {"name": readable(file.path), "digest": _digest_set(file)}
        yield {**about, "annotations": {"role": role}}


def _origins(maker: Activity, makers: _Makers) -> list[FileRecord]:
    """Return the files that a result was made of in the end, which no job made."""
    origins: dict[tuple[str, Digest | None], FileRecord] = {}
    seen, waiting = {maker.record.id}, [maker]
    while waiting:
        for file in waiting.pop().inputs:
            made = makers.get((file.path, file.digest))
            if made is None:
                origins[file.path, file.digest] = file
            elif made.record.id not in seen:
                seen.add(made.record.id)
                waiting.append(made)
    return [origins[key] for key in sorted(origins, key=str)]


def _byproducts(maker: Activity) -> Iterator[Json]:
    log = maker.record.log
    if log is not None and log.digest is not None:
        yield {"name": readable(log.path), "digest": {"sha256": log.digest.value}}


def _digest_set(file: FileRecord) -> dict[str, str]:
    name = _DIRECTORY if file.kind is FileKind.DIRECTORY else "sha256"
    return {} if file.digest is None else {name: file.digest.value}
