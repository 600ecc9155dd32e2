"""Which jobs may ask for helpers, and why the others may not."""

from __future__ import annotations

import dataclasses

import pytest

from snakemake_repro.errors import ClusterError
from snakemake_repro.logic.resources import labels_of, most_helpers_of
from snakemake_repro.operations.helpers import why_without
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec, IsolationMode, JobSpec, Tier
from snakemake_repro.records.tasks import (
    Command,
    ContainerRequest,
    IsolationRequest,
    Member,
    Shipment,
    Task,
)

CALL = {"modules": [], "shell": {"prefix": None}}
TASK = Task(
    id="t",
    run_id="r",
    workdir="/w",
    log="l.log",
    tier=Tier.DIRECT,
    command=Command(kind="call", call=CALL),
    members=(
        Member(
            id="m", jobid=1, spec=JobSpec(rule="search", kind="wrapper"), resources={"helpers": 2}
        ),
    ),
    environment=EnvironmentSpec(kind=EnvironmentKind.HOST, name="host"),
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"group": "g"}, "the jobs of a group have none"),
        ({"isolation": IsolationRequest(mode=IsolationMode.ENFORCE)}, "a hermetic job has none"),
        ({"container": ContainerRequest()}, "a job in a container has none"),
        (
            {"shipment": Shipment(base="/w", package="/p", sources="/s.tar")},
            "they need a file system that all nodes share",
        ),
        (
            {"command": Command(kind="call", call={**CALL, "modules": ["gcc"]})},
            "a rule with environment modules or a prefix of its shell has none",
        ),
        (
            {"command": Command(kind="call", call={**CALL, "shell": {"prefix": "export A=1; "}})},
            "a rule with environment modules or a prefix of its shell has none",
        ),
        ({"command": Command(kind="shell")}, "only a rule with a script or a wrapper has some"),
    ],
)
def test_who_has_none_is_told_why(change: dict[str, object], reason: str | None) -> None:
    task = dataclasses.replace(TASK, **change)  # type: ignore[arg-type]
    assert why_without(task) == reason
    asks_not = tuple(dataclasses.replace(member, resources={}) for member in task.members)
    assert why_without(dataclasses.replace(task, members=asks_not)) is None


@pytest.mark.parametrize(
    ("resources", "expected"), [({}, 0), ({"helpers": 3}, 3), ({"helpers": 0}, 0)]
)
def test_the_number_of_helpers_is_the_resource(resources: dict[str, int], expected: int) -> None:
    assert most_helpers_of(resources) == expected


def test_helpers_keep_to_the_labels_of_their_job() -> None:
    assert labels_of("rule a", {"ray_node": "zone=a,disk=ssd"}) == {"zone": "a", "disk": "ssd"}
    with pytest.raises(ClusterError, match="rule a has ray_node='a'"):
        labels_of("rule a", {"ray_node": "a"})
