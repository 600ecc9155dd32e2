"""A job spec in which every field says something."""

from __future__ import annotations

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
