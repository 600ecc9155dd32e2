"""A run as W3C PROV describes it, in PROV-JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from snakemake_repro.logic.activities import PROJECT, Activity
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.jsonld import readable
from snakemake_repro.logic.retelling import as_typed
from snakemake_repro.records import EnvironmentRecord, FileRecord, Json

PREFIXES = {
    "sha256": "urn:sha256:",
    "file": "urn:snakemake-repro:file:",
    "job": "urn:snakemake-repro:attempt:",
    "run": "urn:snakemake-repro:run:",
    "environment": "urn:snakemake-repro:environment:",
    "user": "urn:snakemake-repro:user:",
    "engine": "urn:snakemake-repro:engine:",
    "repro": f"{PROJECT}#",
}
_SNAKEMAKE = "engine:snakemake"


class _Document:
    """A PROV-JSON document being written; relations are numbered as they come."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, Json]] = {"prefix": dict(PREFIXES)}
        self._count = 0

    def say(self, kind: str, name: str, about: Mapping[str, Json]) -> str:
        """Add an entity, an activity or an agent once; return its name."""
        known = {key: value for key, value in about.items() if value is not None}
        self.parts.setdefault(kind, {}).setdefault(name, known)
        return name

    def relate(self, kind: str, about: Mapping[str, Json]) -> None:
        """Add a relation."""
        self._count += 1
        known = {key: value for key, value in about.items() if value is not None}
        self.parts.setdefault(kind, {})[f"_:r{self._count}"] = known


def document(history: RunHistory, activities: Sequence[Activity]) -> dict[str, Json]:
    """Return what was done for a run: attempts, the files that they used and made, and who ran it.

    A version of a file is an entity, which specialises that of its bytes: these have one name
    wherever they are found.

    Args:
        history: The run.
        activities: What was done for its results.
    """
    made = _Document()
    version = history.run.versions.get("snakemake")
    made.say(
        "agent",
        _SNAKEMAKE,
        {
            "prov:type": _name("prov:SoftwareAgent"),
            "prov:label": "Snakemake",
            "repro:version": version,
        },
    )
    runs = {history.run.id: history, **{one.history.run.id: one.history for one in activities}}
    for run in runs.values():
        _run(made, run)
    for one in activities:
        _activity(made, one)
    return made.parts


def _run(made: _Document, history: RunHistory) -> None:
    run = history.run
    git = run.git
    name = made.say(
        "activity",
        f"run:{run.id}",
        {
            "prov:startTime": run.started,
            "prov:endTime": None if history.end is None else history.end.finished,
            "prov:type": _name("repro:WorkflowRun"),
            "prov:label": readable(run.name),
            "repro:command": readable(as_typed(run.command)),
            "repro:commit": None if git is None else git.commit,
            "repro:status": None if history.end is None else history.end.status,
        },
    )
    user = made.say(
        "agent",
        f"user:{quote(run.user or 'unknown', safe='')}",
        {"prov:type": _name("prov:Person"), "prov:label": run.user or "unknown"},
    )
    for agent in (user, _SNAKEMAKE):
        made.relate("wasAssociatedWith", {"prov:activity": name, "prov:agent": agent})
    made.relate("actedOnBehalfOf", {"prov:delegate": _SNAKEMAKE, "prov:responsible": user})


def _activity(made: _Document, one: Activity) -> None:
    record = one.record
    name = made.say(
        "activity",
        f"job:{record.id}",
        {
            "prov:startTime": record.started,
            "prov:endTime": record.finished,
            "prov:type": _name("repro:Job"),
            "prov:label": readable(one.label),
            "repro:attempt": record.attempt,
            "repro:key": None if record.key is None else str(record.key),
            "repro:code": None if record.spec.code is None else str(record.spec.code),
            "repro:status": "succeeded" if one.error is None else "failed",
            "repro:error": None if one.error is None else readable(one.error),
        },
    )
    made.relate("wasStartedBy", {"prov:activity": name, "prov:starter": f"run:{record.run_id}"})
    made.relate("wasAssociatedWith", {"prov:activity": name, "prov:agent": _SNAKEMAKE})
    if one.environment is not None:
        where = _environment(made, one.environment)
        made.relate(
            "used", {"prov:activity": name, "prov:entity": where, "prov:role": "environment"}
        )
    for file in one.inputs:
        made.relate(
            "used",
            {
                "prov:activity": name,
                "prov:entity": _file(made, file),
                "prov:role": file.name or "input",
            },
        )
    for file in one.outputs:
        made.relate(
            "wasGeneratedBy",
            {
                "prov:entity": _file(made, file),
                "prov:activity": name,
                "prov:time": record.finished,
                "prov:role": file.name or "output",
            },
        )


def _file(made: _Document, file: FileRecord) -> str:
    digest = "unknown" if file.digest is None else file.digest.value
    path = quote(file.path, safe="", errors="surrogateescape")
    about = {
        "prov:label": readable(file.path),
        "prov:location": readable(file.path),
        "repro:kind": file.kind.value,
        "repro:size": file.size,
    }
    name = f"file:{digest}-{path}"
    if name not in made.parts.get("entity", {}):
        made.say("entity", name, about)
        if file.digest is not None:
            content = made.say("entity", f"sha256:{digest}", {"repro:size": file.size})
            made.relate(
                "specializationOf", {"prov:specificEntity": name, "prov:generalEntity": content}
            )
    return name


def _environment(made: _Document, environment: EnvironmentRecord) -> str:
    return made.say(
        "entity",
        f"environment:{environment.digest.value}",
        {
            "prov:label": environment.name,
            "repro:kind": environment.kind.value,
            "repro:pinned": environment.pinned,
            "repro:platform": environment.platform,
            "repro:image": environment.image,
        },
    )


def _name(name: str) -> Json:
    return {"$": name, "type": "prov:QUALIFIED_NAME"}
