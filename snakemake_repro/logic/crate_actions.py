"""Jobs as a Provenance Run Crate describes them: tools, steps, actions, and what they used."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.activities import Activity
from snakemake_repro.logic.crate_files import Shelf
from snakemake_repro.logic.images import SCHEME, ImageName
from snakemake_repro.logic.jsonld import Entity, entity, local, moment, readable, ref, refs
from snakemake_repro.logic.made import last_metrics
from snakemake_repro.records import EnvironmentRecord, FileKind, Json, ResourceUse

COMPLETED = "http://schema.org/CompletedActionStatus"
FAILED = "http://schema.org/FailedActionStatus"

_DOCKER_IMAGE = "https://w3id.org/ro/terms/workflow-run#DockerImage"
_UNITS = {
    "wall_s": "https://qudt.org/vocab/unit/SEC",
    "cpu_user_s": "https://qudt.org/vocab/unit/SEC",
    "cpu_system_s": "https://qudt.org/vocab/unit/SEC",
    "max_rss_mb": "https://qudt.org/vocab/unit/MebiBYTE",
    "read_mb": "https://qudt.org/vocab/unit/MebiBYTE",
    "written_mb": "https://qudt.org/vocab/unit/MebiBYTE",
}
_KINDS: dict[type, str] = {bool: "Boolean", int: "Integer", float: "Float"}
_ENGINES_OWN = "the registry of the engine that ran it"


class Actions:
    """What a crate says of the jobs of a run."""

    def __init__(self, activities: Sequence[Activity], shelf: Shelf, url: str) -> None:
        """Describe attempts.

        Args:
            activities: They, in the order of their start.
            shelf: The files of the crate.
            url: Where the workflow is found.
        """
        self._activities = activities
        self._shelf = shelf
        self._url = url
        rules: dict[str, list[Activity]] = {}
        for activity in activities:
            rules.setdefault(activity.record.spec.rule, []).append(activity)
        self._rules = rules

    @property
    def tools(self) -> list[Entity]:
        """References to what the jobs of each rule execute."""
        return refs(map(_tool_id, self._rules))

    @property
    def steps(self) -> list[Entity]:
        """References to the steps of the workflow."""
        return refs(local("step", rule) for rule in self._rules)

    @property
    def actions(self) -> list[Entity]:
        """References to what the attempts did."""
        return refs(_action_id(one) for one in self._activities)

    @property
    def controls(self) -> list[Entity]:
        """References to what the workflow engine did to that end."""
        return refs(_control_id(one) for one in self._activities)

    def entities(self) -> Iterator[Entity]:
        """Yield everything, each entity once."""
        found: dict[str, Entity] = {}
        for one in self._entities():
            found.setdefault(one["@id"], one)
        yield from found.values()

    def _entities(self) -> Iterator[Entity]:
        for position, (rule, done) in enumerate(self._rules.items()):
            yield self._tool(rule, done)
            yield entity(
                local("step", rule),
                "HowToStep",
                name=rule,
                position=str(position),
                workExample=ref(_tool_id(rule)),
            )
        for one in self._activities:
            yield self._action(one)
            yield entity(
                _control_id(one),
                "ControlAction",
                name=f"Orchestrate {one.label}",
                instrument=ref(local("step", one.record.spec.rule)),
                object=ref(_action_id(one)),
                actionStatus=COMPLETED if one.error is None else FAILED,
                error=None if one.error is None else readable(one.error),
            )
            yield agent(one.history.run.user)
            yield from _parameters(one)
            yield from _measured(one)
            if one.environment is not None:
                yield self._environment(one.environment)
                yield from _image(one.environment)

    def _tool(self, rule: str, done: Sequence[Activity]) -> Entity:
        last = done[-1]
        code = last.history.codes.get(str(last.record.spec.code))
        used = [one.environment for one in done]
        named = {
            name: None for one in done for name in one.record.spec.named_params
        }  # in the rule's order
        return entity(
            _tool_id(rule),
            "SoftwareApplication",
            name=f"rule {rule}",
            description=None if code is None else readable(code.text),
            url=self._url,
            softwareVersion=str(last.record.spec.code or "unknown"),
            softwareRequirements=refs(_environment_id(one) for one in used if one is not None),
            input=refs(local("parameter", rule, name) for name in named),
        )

    def _action(self, one: Activity) -> Entity:
        record = one.record
        shelf, log = self._shelf, record.log
        read = [shelf.id(file) for file in one.inputs]
        read += [_value_id(one, name) for name in record.spec.named_params]
        if one.environment is not None:
            read.append(_environment_id(one.environment))
        wrote = [shelf.id(file) for file in one.outputs]
        wrote += [_metric_id(one, metric.name) for metric, _ in last_metrics(record.metrics)]
        if log is not None and log.kind is FileKind.FILE:
            wrote.append(shelf.id(log))
        image = None if one.environment is None else next(_image(one.environment), None)
        return entity(
            _action_id(one),
            "CreateAction" if wrote else "ActivateAction",
            name=readable(one.label),
            description=_story(one),
            startTime=moment(record.started),
            endTime=moment(record.finished),
            agent=ref(agent(one.history.run.user)["@id"]),
            instrument=ref(_tool_id(record.spec.rule)),
            object=refs(read),
            result=refs(wrote),
            actionStatus=COMPLETED if one.error is None else FAILED,
            error=None if one.error is None else readable(one.error),
            containerImage=None if image is None else ref(image["@id"]),
            resourceUsage=refs(_use_id(one, name) for name in _used(record.use)),
            identifier=None if record.key is None else f"job key {record.key}",
        )

    def _environment(self, environment: EnvironmentRecord) -> Entity:
        files = [one for one in (environment.lock, environment.source) if one is not None]
        pinned = "pinned" if environment.pinned else "not pinned"
        facts = [f"{environment.kind.value} environment", pinned, environment.platform]
        if environment.python is not None:
            facts.append(f"Python {environment.python}")
        packages = [f"{package.name} {package.version}" for package in environment.packages]
        return entity(
            _environment_id(environment),
            "CreativeWork",
            name=readable(environment.name),
            description=", ".join((*facts, *packages)),
            identifier=str(environment.digest),
            isBasedOn=refs(self._shelf.id(file) for file in files),
        )


def agent(user: str | None) -> Entity:
    """Return who ran something."""
    name = user or "unknown"
    return entity(local("user", name), "Person", name=name)


def plain(value: Json) -> Json:
    """Return a value as one text or number."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, int | float) else json.dumps(value, sort_keys=True)


def parameter(name: str, title: str, value: Json) -> Entity:
    """Return the description of a parameter that has had this value."""
    kind = _KINDS.get(type(value), "Text")
    return entity(name, "FormalParameter", name=readable(title), additionalType=kind)


def _parameters(one: Activity) -> Iterator[Entity]:
    rule = one.record.spec.rule
    for name, value in one.record.spec.named_params.items():
        formal = local("parameter", rule, name)
        yield parameter(formal, name, value)
        yield entity(
            _value_id(one, name),
            "PropertyValue",
            name=name,
            value=plain(value),
            exampleOfWork=ref(formal),
        )


def _measured(one: Activity) -> Iterator[Entity]:
    for metric, _ in last_metrics(one.record.metrics):
        name = _metric_id(one, metric.name)
        yield entity(name, "PropertyValue", name=readable(metric.name), value=plain(metric.value))
    for name, used in _used(one.record.use).items():
        yield entity(
            _use_id(one, name),
            "PropertyValue",
            name=name,
            value=str(used),
            propertyID=name,
            unitCode=_UNITS.get(name),
        )


def _used(use: ResourceUse | None) -> dict[str, Json]:
    return {} if use is None else use.to_dict()


def _image(environment: EnvironmentRecord) -> Iterator[Entity]:
    if environment.image is None:
        return
    try:
        image = ImageName.parse(SCHEME + environment.image)
    except EnvironmentSpecError:
        return  # a name that no registry would know
    yield entity(
        f"{SCHEME}{environment.image}",
        "ContainerImage",
        additionalType=ref(_DOCKER_IMAGE),
        name=image.repository.removeprefix(f"{image.host}/"),
        registry=image.host or _ENGINES_OWN,
        sha256=None if image.digest is None else image.digest.value,
    )


def _story(one: Activity) -> str:
    record = one.record
    parts = [f"Attempt {record.attempt} at {one.label} in run {one.history.run.id}"]
    if one.reused:
        parts.append("its results were reused")
    if record.resubmission:
        parts.append(f"repeated {record.resubmission} times after a worker was lost")
    if record.seeds:
        parts.append("seeds " + json.dumps(dict(record.seeds), sort_keys=True))
    parts += [*record.integrity, *record.violations]
    text = readable("; ".join(parts)) + "."
    command = record.spec.command
    return text if command is None else f"{text} Command: {readable(command)}"


def _tool_id(rule: str) -> str:
    return local("rule", rule)


def _action_id(one: Activity) -> str:
    return local("job", one.record.id)


def _control_id(one: Activity) -> str:
    return local("control", one.record.id)


def _value_id(one: Activity, name: str) -> str:
    return local("value", one.record.id, name)


def _metric_id(one: Activity, name: str) -> str:
    return local("metric", one.record.id, name)


def _use_id(one: Activity, name: str) -> str:
    return local("use", one.record.id, name)


def _environment_id(environment: EnvironmentRecord) -> str:
    return local("environment", environment.digest.value)
