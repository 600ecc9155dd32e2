"""Digests of structured data are pinned: a changed literal needs a new scheme version."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import SPEC, A, B

from snakemake_repro.logic.canonical import canonical_json, digest_of, digest_of_text, job_key
from snakemake_repro.records import FileKind, FileRecord, JobSpec

CHANGED: dict[str, Any] = {
    "rule": "other",
    "kind": "shell",
    "wildcards": {"model": "xgb"},
    "code": B,
    "modules": {"helper.py": B},
    "command": "echo 2",
    "params": (["seed", 2],),
    "inputs": (FileRecord(path="x", digest=B, size=1, name="data"),),
    "outputs": (FileRecord(path="z"),),
    "environment": B,
    "config": B,
    "threads": 1,
}


def test_a_known_spec_has_its_known_key() -> None:
    assert job_key(JobSpec(rule="a", kind="shell")).value == (
        "4029e7c172984956c97db0622e0bd8e3d03eddda811542e9f8194dceebebffbb"
    )


def test_every_field_of_the_spec_is_in_the_key_or_named_as_not() -> None:
    fields = {field.name for field in dataclasses.fields(JobSpec)}
    assert fields == set(CHANGED) | {"source_name"}


@pytest.mark.parametrize("field", sorted(CHANGED))
def test_changing_a_field_changes_the_key(field: str) -> None:
    changed = dataclasses.replace(SPEC, **{field: CHANGED[field]})
    assert job_key(changed) != job_key(SPEC)


@pytest.mark.parametrize(
    "change",
    [
        {"source_name": "elsewhere.py"},
        {"outputs": (FileRecord(path="y", digest=A, size=9),)},
        {"inputs": (FileRecord(path="x", digest=A, size=99, name="data", flags=("temp",)),)},
    ],
    ids=["where the script lies", "what came out", "what is derived from the content"],
)
def test_what_does_not_determine_the_result_is_not_in_the_key(change: dict[str, Any]) -> None:
    assert job_key(dataclasses.replace(SPEC, **change)) == job_key(SPEC)


def test_a_missing_input_is_not_an_empty_one() -> None:
    missing = FileRecord(path="x", kind=FileKind.MISSING, name="data")
    unknown = FileRecord(path="x", name="data")
    keys = {job_key(dataclasses.replace(SPEC, inputs=(file,))) for file in (missing, unknown)}
    assert len(keys) == 2


@given(
    st.dictionaries(
        st.text(), st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
    )
)
def test_the_order_of_keys_does_not_matter(data: dict[str, Any]) -> None:
    assert digest_of("T/1", data) == digest_of("T/1", dict(reversed(data.items())))


def test_the_tag_separates_types() -> None:
    assert digest_of("A/1", {}) != digest_of("B/1", {})


def test_text_has_the_digest_that_sha256sum_gives() -> None:
    assert digest_of_text("abc").value.startswith("ba7816bf8f01cfea414140de5dae2223")


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json(float("nan"))
