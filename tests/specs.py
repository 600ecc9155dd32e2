"""A job spec in which every field says something, and a job of an atlas in which few do."""

from __future__ import annotations

from snakemake_repro.logic.atlas import JobPlace
from snakemake_repro.logic.outcomes import Result
from snakemake_repro.records import Digest, FileRecord, JobSpec

A, B = Digest("a" * 64), Digest("b" * 64)
SPEC = JobSpec(
    rule="train",
    kind="script",
    wildcards={"model": "svm"},
    code=A,
    modules={"helper.py": A},
    command="echo",
    params=(["seed", 1],),
    inputs=(FileRecord(path="x", digest=A, size=1, name="data"),),
    outputs=(FileRecord(path="y"),),
    environment=A,
    config=A,
    threads=2,
    source_name="train.py",
)
PLACE = JobPlace(
    id="1",
    rule=0,
    wildcards={},
    result=Result.EXECUTED,
    attempts=1,
    kind="shell",
    source_name=None,
    command=None,
    params={},
    seeds={},
    key=None,
    run=0,
    environment=None,
    host=None,
    started=None,
    wall_s=None,
    cpu_s=None,
    max_rss_mb=None,
    error=None,
    log=None,
    remarks=(),
    tries=(),
    metrics=(),
    inputs=(),
    outputs=(),
)
