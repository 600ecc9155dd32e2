"""Records convert to JSON and back, and say exactly what is wrong with what they are given."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.errors import RecordError
from snakemake_repro.records import (
    CodeSeen,
    CodeText,
    Digest,
    Entry,
    EnvironmentKind,
    EnvironmentRecord,
    FileKind,
    FileRecord,
    GitState,
    Host,
    JobAccepted,
    JobEnded,
    JobRecord,
    JobSpec,
    JobStatus,
    Metric,
    Origin,
    Package,
    Record,
    ResourceUse,
    RunEnd,
    RunEnded,
    RunStarted,
    Source,
    Tier,
    WorkflowRun,
)

GOLDEN = Path(__file__).parents[2] / "data" / "journal" / "v1.jsonl"
A, B = Digest("a" * 64), Digest("b" * 64)

SPEC = JobSpec(
    rule="train",
    kind="script",
    wildcards={"model": "svm"},
    code=A,
    params=(["seed", 1], [None, {"depth": [1, 2]}]),
    inputs=(FileRecord(path="data/x.parquet", digest=A, size=10, name="data"),),
    outputs=(FileRecord(path="out/m.json", kind=FileKind.UNOBSERVED, flags=("temp",)),),
    environment=B,
    config=A,
    threads=2,
    source_name="train.py",
)
JOB = JobRecord(
    id="1" * 32,
    run_id="2" * 32,
    spec=SPEC,
    jobid=7,
    attempt=2,
    resubmission=1,
    key=B,
    status=JobStatus.FAILED,
    origin=Origin.RAY,
    tier=Tier.FORK,
    started="2026-01-01T00:00:00.000000+00:00",
    finished="2026-01-01T00:00:01.000000+00:00",
    exit_code=-9,
    error="killed",
    outputs=(FileRecord(path="out/m.json", kind=FileKind.MISSING),),
    log=FileRecord(path=".snakemake/ray/x.log", digest=A, size=3),
    host="h",
    resources={"mem_mb": 100},
    use=ResourceUse(wall_s=1.5, max_rss_mb=10.0),
    metrics=(Metric(name="auc", value=0.5, step=3, timestamp=1),),
    params_reported={"x": 1},
    seeds={"numpy": 1},
    tags={"k": "v"},
    integrity=("input changed",),
    group="g",
)
RUN = WorkflowRun(
    id="2" * 32,
    name="study",
    started="2026-01-01T00:00:00.000000+00:00",
    command=("snakemake",),
    config={"a": {"b": None}},
    config_digest=A,
    sources=(Source(uri="Snakefile", role="workflow", git=GitState(commit="c" * 40, dirty=True)),),
    versions={"python": "3.11.7"},
)
ENVIRONMENT = EnvironmentRecord(
    digest=B,
    kind=EnvironmentKind.PYPI,
    pinned=True,
    name="envs/x.yaml",
    platform="linux-x86_64",
    packages=(Package(name="six", version="1.17.0", digests=(A,)),),
)


@pytest.mark.parametrize(
    "record",
    [
        SPEC,
        JOB,
        RUN,
        ENVIRONMENT,
        Host(id="h", name="n", os="Debian", kernel="6", machine="x86_64"),
    ],
)
def test_a_record_survives_json(record: Record) -> None:
    assert type(record).from_dict(json.loads(json.dumps(record.to_dict()))) == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spec": {"rule": 1, "kind": "x"}}, "expected str, got int in 'spec.rule'"),
        ({"spec": {"rule": "a"}}, "missing field 'kind' in 'spec'"),
        (
            {"status": "fine"},
            "expected one of succeeded, failed, lost, interrupted, got 'fine' in 'status'",
        ),
        ({"key": "md5:0"}, "expected a digest 'sha256:<64 hex>', got 'md5:0' in 'key'"),
        (
            {"outputs": [{"path": "a"}, {"path": 3}]},
            "expected str, got int in 'outputs[1].path'",
        ),
        ({"seeds": {"numpy": "x"}}, "expected int, got str in 'seeds.numpy'"),
        ({"outputs": {}}, "expected a list, got dict in 'outputs'"),
    ],
)
def test_a_malformed_record_names_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError, match="JobRecord") as caught:
        JobRecord.from_dict({**JOB.to_dict(), **change})
    assert caught.value.message == f"JobRecord: {message}"


def test_fields_of_a_later_minor_version_are_ignored() -> None:
    assert JobRecord.from_dict({**JOB.to_dict(), "invented_later": 1}) == JOB


def test_records_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        JOB.id = "x"  # type: ignore[misc]


ENTRIES = (
    RunStarted(run_id=RUN.id, at="2026-01-01T00:00:00.000000+00:00", run=RUN),
    JobEnded(run_id=RUN.id, at="2026-01-01T00:00:01.000000+00:00", job=JOB),
    JobAccepted(
        run_id=RUN.id,
        at="2026-01-01T00:00:02.000000+00:00",
        job_id=JOB.id,
        outputs=(FileRecord(path="out/m.json", digest=A, size=1),),
        removed=("out/m.json",),
    ),
    RunEnded(
        run_id=RUN.id,
        at="2026-01-01T00:00:03.000000+00:00",
        end=RunEnd(status="failed", finished="2026-01-01T00:00:03.000000+00:00"),
    ),
    CodeSeen(
        run_id=RUN.id,
        at="2026-01-01T00:00:00.500000+00:00",
        code=CodeText(digest=A, text="import helper\n", name="train.py"),
    ),
    JobEnded(
        run_id=RUN.id,
        at="2026-01-01T00:00:01.500000+00:00",
        job=JobRecord(
            id="3" * 32,
            run_id=RUN.id,
            spec=JobSpec(rule="train", kind="script", code=A, modules={"helper.py": B}),
            reason="Missing output files: out/m.json",
        ),
    ),
)


def test_the_first_schema_is_read_for_ever() -> None:
    lines = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    assert tuple(Entry.from_line(line) for line in lines) == ENTRIES
    assert [entry.to_line() for entry in ENTRIES] == lines


def test_a_newer_schema_is_refused_with_advice() -> None:
    with pytest.raises(RecordError, match="journal line of schema 2") as caught:
        Entry.from_line({**ENTRIES[0].to_line(), "schema": 2})
    assert caught.value.hint is not None


def test_an_unknown_kind_of_line_is_passed_over() -> None:
    assert Entry.from_line({**ENTRIES[0].to_line(), "kind": "invented-later"}) is None


@given(st.text())
def test_only_sha256_is_a_digest(text: str) -> None:
    with pytest.raises(RecordError):
        Digest.parse(text)
