"""A run as a Provenance Run Crate (RO-Crate 1.1, profile 0.5) describes it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from snakemake_repro.logic.activities import Activity
from snakemake_repro.logic.crate_actions import (
    COMPLETED,
    FAILED,
    Actions,
    agent,
    parameter,
    plain,
)
from snakemake_repro.logic.crate_files import Part, Shelf, part_entity
from snakemake_repro.logic.history import RunHistory, results
from snakemake_repro.logic.jsonld import Entity, entity, local, moment, path_id, readable, ref, refs
from snakemake_repro.logic.retelling import as_typed
from snakemake_repro.records import FileRecord

RO_CRATE_VERSION = "1.1"
RUN_CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
METADATA = "ro-crate-metadata.json"
README = "README.md"
ROOT = "./"

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
_SNAKEMAKE = "https://snakemake.github.io"
_SPDX = "https://spdx.org/licenses/"
_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")
_NO_LICENSE = "No license was named. Ask the author."


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a record does not know, and a publication says.

    Attributes:
        license: SPDX identifier or URL; ``None`` for the repository's own license file.
        author: Name; ``None`` for who ran it.
        organization: Of the author; it counts as the publisher.
        organization_url: Its home.
        published: Date, ISO 8601.
    """

    published: str
    license: str | None = None
    author: str | None = None
    organization: str | None = None
    organization_url: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What is in a crate.

    Attributes:
        workflow: Path of the main Snakefile among the parts.
        license: Path of a license file among the parts.
        parts: Code and record.
        kept: Data of jobs, by path in the crate.
    """

    workflow: str
    parts: Sequence[Part]
    kept: Mapping[str, FileRecord]
    license: str | None = None


def describe(
    history: RunHistory, activities: Sequence[Activity], content: Content, about: About
) -> Iterator[Entity]:
    """Yield what the crate of a run says: first of itself, then of all that it names.

    Args:
        history: The run.
        activities: What was done for its results.
        content: What is in the crate.
        about: What else is to be said.
    """
    shelf = Shelf(content.kept)
    actions = Actions(activities, shelf, _url(history, content))
    jobs = list(actions.entities())
    whole = _whole(history, activities, shelf, content)
    orchestration = _orchestration(history, actions)
    parts = {part.path: part_entity(part) for part in content.parts}
    own = frozenset(map(path_id, parts))
    data = [one for one in shelf.entities() if one["@id"] not in own]
    yield entity(
        METADATA,
        "CreativeWork",
        about=ref(ROOT),
        conformsTo=refs((f"https://w3id.org/ro/crate/{RO_CRATE_VERSION}", _WORKFLOW_CRATE)),
    )
    yield entity(
        ROOT,
        "Dataset",
        name=f"Run {history.run.id} of {readable(history.run.name)}",
        description=_story(history),
        datePublished=about.published,
        license=_license_of(content, about),
        author=ref(_author(history, about)["@id"]),
        publisher=None if about.organization is None else ref(local("publisher")),
        conformsTo=refs(_PROFILES),
        mainEntity=ref(path_id(content.workflow)),
        hasPart=refs((*map(path_id, parts), *shelf.parts())),
        mentions=[*refs((whole["@id"], orchestration["@id"])), *actions.actions],
    )
    yield _workflow(history, parts.pop(content.workflow), actions, content)
    for path, one in parts.items():
        if path == content.license:
            yield {**one, "@type": ["File", "CreativeWork"]}
        else:
            yield {**one, "about": ref(ROOT)} if path == README else one
    yield from (*data, whole, orchestration, *jobs)
    yield from _configuration(history)
    yield from _context(history, about, jobs)


def readme(history: RunHistory) -> str:
    """Return what a crate tells people who find it."""
    return (
        f"# Run {history.run.id} of {readable(history.run.name)}\n\n{_story(history)}\n\n"
        "`repro report -C .` in this directory says what was done, `repro verify -C .` whether the "
        f"data is unchanged, and `repro rerun` with its path repeats it. `{METADATA}` says it "
        "to other programs.\n"
    )


def _workflow(history: RunHistory, file: Entity, actions: Actions, content: Content) -> Entity:
    inputs = refs(local("setting", key) for key in history.run.config)
    return {
        **file,
        **entity(
            file["@id"],
            ("File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"),
            name=readable(history.run.name),
            url=_url(history, content),
            version=_version(history),
            conformsTo=ref(_BIOSCHEMAS),
            programmingLanguage=ref(_LANGUAGE),
            hasPart=actions.tools,
            step=actions.steps,
            input=inputs,
        ),
    }


def _whole(
    history: RunHistory, activities: Sequence[Activity], shelf: Shelf, content: Content
) -> Entity:
    """Return the run as one action."""
    run = history.run
    made = [shelf.id(file) for file, _ in results(history).values()]
    made += [shelf.id(file) for one in activities for file in one.outputs if one.reused]
    written = {file.path for one in activities for file in one.record.spec.outputs}
    read = [shelf.id(file) for one in activities for file in one.inputs if file.path not in written]
    read += [local("configured", key) for key in run.config]
    return entity(
        local("run", run.id),
        "CreateAction" if made else "ActivateAction",
        name=f"Run {run.id}",
        description=f"Command: {readable(as_typed(run.command))}",
        startTime=moment(run.started),
        endTime=None if history.end is None else moment(history.end.finished),
        agent=ref(agent(run.user)["@id"]),
        instrument=ref(path_id(content.workflow)),
        object=refs(read),
        result=refs(made),
        **_status(history),
    )


def _orchestration(history: RunHistory, actions: Actions) -> Entity:
    run = history.run
    return entity(
        local("orchestration", run.id),
        "OrganizeAction",
        name=f"Snakemake for run {run.id}",
        startTime=moment(run.started),
        endTime=None if history.end is None else moment(history.end.finished),
        agent=ref(agent(run.user)["@id"]),
        instrument=ref(_engine_id(history)),
        object=actions.controls,
        result=ref(local("run", run.id)),
        **_status(history),
    )


def _status(history: RunHistory) -> Entity:
    if history.end is not None and history.end.status == "succeeded":
        return {"actionStatus": COMPLETED}
    how = "it did not end in an orderly way" if history.end is None else history.end.status
    return {"actionStatus": FAILED, "error": how}


def _configuration(history: RunHistory) -> Iterator[Entity]:
    for key, value in history.run.config.items():
        yield parameter(local("setting", key), key, value)
        yield entity(
            local("configured", key),
            "PropertyValue",
            name=readable(key),
            value=plain(value),
            exampleOfWork=ref(local("setting", key)),
        )


def _context(history: RunHistory, about: About, jobs: Sequence[Entity]) -> Iterator[Entity]:
    """Yield profiles, programs, people and the license."""
    run = history.run
    yield from (
        entity(name, "CreativeWork", name=title, version=name.rpartition("/")[2])
        for name, title in _PROFILES.items()
    )
    yield entity(_LANGUAGE, "ComputerLanguage", name="Snakemake", url=_SNAKEMAKE)
    yield entity(
        _engine_id(history),
        "SoftwareApplication",
        name="Snakemake",
        url=_SNAKEMAKE,
        softwareVersion=run.versions.get("snakemake", "unknown"),
    )
    who = agent(run.user)
    if who["@id"] not in (one["@id"] for one in jobs):
        yield who
    if about.author is not None:
        yield _author(history, about)
    if about.organization is not None:
        yield entity(
            local("publisher"),
            "Organization",
            name=about.organization,
            url=about.organization_url,
        )
    if about.license is not None:
        title = f"License {about.license}"
        yield entity(
            _license_id(about.license), "CreativeWork", name=about.license, description=title
        )


def _author(history: RunHistory, about: About) -> Entity:
    if about.author is None:
        return agent(history.run.user)
    publisher = None if about.organization is None else ref(local("publisher"))
    return entity(local("author"), "Person", name=about.author, affiliation=publisher)


def _license_of(content: Content, about: About) -> Entity | str:
    if about.license is not None:
        return ref(_license_id(about.license))
    return _NO_LICENSE if content.license is None else ref(path_id(content.license))


def _license_id(name: str) -> str:
    return f"{_SPDX}{name}" if _IDENTIFIER.fullmatch(name) else name


def _engine_id(history: RunHistory) -> str:
    return f"{_SNAKEMAKE}/#{history.run.versions.get('snakemake', 'unknown')}"


def _url(history: RunHistory, content: Content) -> str:
    git = history.run.git
    return path_id(content.workflow) if git is None or git.url is None else git.url


def _version(history: RunHistory) -> str:
    git = history.run.git
    if git is None or git.commit is None:
        return str(history.run.sources[0].digest) if history.run.sources else "unknown"
    if not git.dirty:
        return git.commit
    return f"{git.commit} with uncommitted changes {git.diff_digest or 'that were not kept'}"


def _story(history: RunHistory) -> str:
    run = history.run
    return (
        f"What `{readable(as_typed(run.command))}` did on {run.started[:10]}: the workflow, "
        "every attempt at every job, what each read and wrote, and the record from which `repro` "
        "answers. Made by snakemake-executor-plugin-ray."
    )
