"""Whatever moves the job key is named; what stays the same is not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import SPEC as FULL
from specs import A, B

from snakemake_repro.logic.canonical import digest_of_text, job_key
from snakemake_repro.logic.change import Change, ChangeKind
from snakemake_repro.logic.changes import Side, changes, files_that_differ, unexplained
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.records import (
    CodeText,
    Digest,
    EnvironmentKind,
    EnvironmentRecord,
    FileRecord,
    Host,
    JobRecord,
    JobSpec,
    Package,
    WorkflowRun,
)

SPEC = dataclasses.replace(
    FULL, params=(["lr", 0.1], [None, "x"], ["model", {"depth": 3, "kind": "a"}])
)


def _environment(digest: Digest, **kwargs: Any) -> EnvironmentRecord:
    fields: dict[str, Any] = {
        "kind": EnvironmentKind.PYPI,
        "pinned": True,
        "name": "envs/x.yaml",
        "platform": "linux-x86_64",
        "python": "3.11.7",
        **kwargs,
    }
    return EnvironmentRecord(digest=digest, **fields)


def _side(
    spec: JobSpec = SPEC,
    *environments: EnvironmentRecord,
    config: dict[str, Any] | None = None,
    codes: tuple[CodeText, ...] = (),
    host: Host | None = None,
    **record: Any,
) -> Side:
    history = RunHistory(
        run=WorkflowRun(id="r", name="n", started="0", config=config or {}),
        environments={str(one.digest): one for one in environments},
        codes={str(code.digest): code for code in codes},
        hosts={} if host is None else {host.id: host},
    )
    host_id = None if host is None else host.id
    return Side(
        record=JobRecord(id="j", run_id="r", spec=spec, host=host_id, **record), history=history
    )


def _one(change: dict[str, Any]) -> Change:
    [found] = changes(_side(), _side(dataclasses.replace(SPEC, **change)))
    return found


@pytest.mark.parametrize(
    ("change", "kind", "name", "old", "new"),
    [
        ({"rule": "fit"}, ChangeKind.RULE, "name", "train", "fit"),
        ({"kind": "wrapper"}, ChangeKind.RULE, "kind", "script", "wrapper"),
        ({"code": B}, ChangeKind.CODE, "train.py", str(A), str(B)),
        ({"modules": {"helper.py": B}}, ChangeKind.CODE, "helper.py", str(A), str(B)),
        ({"modules": {}}, ChangeKind.CODE, "helper.py", str(A), None),
        ({"wildcards": {"model": "xgb"}}, ChangeKind.WILDCARDS, "model", "svm", "xgb"),
        ({"threads": 1}, ChangeKind.THREADS, None, 2, 1),
        ({"command": "echo 2"}, ChangeKind.COMMAND, None, "echo", "echo 2"),
        ({"outputs": (FileRecord(path="z"),)}, ChangeKind.OUTPUTS, None, ["y"], ["z"]),
        ({"environment": B}, ChangeKind.ENVIRONMENT, None, str(A), str(B)),
        ({"config": B}, ChangeKind.CONFIG, None, str(A), str(B)),
        ({"inputs": ()}, ChangeKind.INPUT, "x", str(A), None),
        (
            {"inputs": (FileRecord(path="x", digest=B, size=9, name="data"),)},
            ChangeKind.INPUT, "x", str(A), str(B),
        ),
        (
            {"inputs": (FileRecord(path="x", digest=A, size=1, name="other"),)},
            ChangeKind.INPUT, "names and order", ["data=x"], ["other=x"],
        ),
        (
            {"params": (["lr", 0.01], *SPEC.params[1:])},
            ChangeKind.PARAM, "lr", 0.1, 0.01,
        ),
        ({"params": (["lr", 0.1], [None, "y"], SPEC.params[2])}, ChangeKind.PARAM, "1", "x", "y"),
        (
            {"params": (*SPEC.params[:2], ["model", {"depth": True, "kind": "a"}])},
            ChangeKind.PARAM, "model.depth", 3, True,
        ),
        ({"params": (*SPEC.params, ["new", None])}, ChangeKind.PARAM, "new", None, None),
    ],
)  # fmt: skip
def test_a_change_of_one_thing_is_named_alone(
    change: dict[str, Any], kind: ChangeKind, name: str | None, old: Any, new: Any
) -> None:
    assert _one(change) == Change(kind=kind, name=name, old=old, new=new)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("ab.", max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
SPECS = st.builds(
    JobSpec,
    rule=st.sampled_from("rs"),
    kind=st.sampled_from(["shell", "script"]),
    wildcards=st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2),
    code=st.sampled_from([None, A, B]),
    modules=st.dictionaries(st.sampled_from("mn"), st.sampled_from([A, B]), max_size=2),
    command=st.sampled_from([None, "", "a"]),
    params=st.lists(st.tuples(st.none() | st.sampled_from("pq"), PLAIN).map(list), max_size=2).map(
        tuple
    ),
    inputs=st.lists(
        st.builds(
            FileRecord,
            path=st.sampled_from("if"),
            digest=st.sampled_from([None, A, B]),
            name=st.sampled_from([None, "n"]),
        ),
        max_size=2,
    ).map(tuple),
    outputs=st.lists(st.builds(FileRecord, path=st.sampled_from("og")), max_size=2).map(tuple),
    environment=st.sampled_from([A, B]),
    config=st.sampled_from([None, A, B]),
    threads=st.sampled_from([1, 2]),
)


@given(old=SPECS, new=SPECS)
def test_no_change_of_the_key_goes_unnamed_and_nothing_else_is_named(
    old: JobSpec, new: JobSpec
) -> None:
    assert bool(changes(_side(old), _side(new))) == (job_key(old) != job_key(new))


def test_code_is_shown_line_by_line_where_both_texts_are_kept() -> None:
    old, new = (
        CodeText(digest=digest_of_text(text), text=text, name="train.py")
        for text in ("a = 1\nb = 2\n", "a = 1\nb = 3\n")
    )
    sides = (
        _side(dataclasses.replace(SPEC, code=code.digest), codes=(code,)) for code in (old, new)
    )
    [change] = changes(*sides)
    assert change.text == ("--- a/train.py", "+++ b/train.py", "@@ -1,2 +1,2 @@", " a = 1",
                           "-b = 2", "+b = 3")  # fmt: skip


def test_a_command_that_follows_from_its_parameters_is_not_named_beside_them() -> None:
    new = dataclasses.replace(SPEC, params=(["lr", 1], *SPEC.params[1:]), command="echo 1")
    assert [change.kind for change in changes(_side(), _side(new))] == [ChangeKind.PARAM]


def test_the_package_that_moved_is_named() -> None:
    six = Package(name="six", version="1.16.0", digests=(A,))
    old = _environment(A, packages=(six, Package(name="numpy", version="2")))
    moved = dataclasses.replace(six, version="1.17.0")
    new = _environment(B, packages=(Package(name="numpy", version="2"), moved))
    spec = dataclasses.replace(SPEC, environment=B)
    [change] = changes(_side(SPEC, old), _side(spec, new))
    assert change == Change(kind=ChangeKind.PACKAGE, name="six", old="1.16.0", new="1.17.0")
    other = _environment(B, packages=(dataclasses.replace(six, digests=(B,)), old.packages[1]))
    [change] = changes(_side(SPEC, old), _side(spec, other))
    assert (change.name, change.old, change.new) == (
        "six", "1.16.0 (aaaaaaaaaaaa)", "1.16.0 (bbbbbbbbbbbb)",
    )  # fmt: skip
    [change] = changes(_side(SPEC, old), _side(spec, dataclasses.replace(old, digest=B)))
    assert (change.kind, change.old) == (ChangeKind.ENVIRONMENT, str(A)), "unknown is said, too"


def test_the_image_that_moved_is_named() -> None:
    kind = EnvironmentKind.CONTAINER
    old = _environment(A, kind=kind, name="lab/small:1", image=f"lab/small@{A}")
    new = _environment(B, kind=kind, name="lab/small:1", image=f"lab/small@{B}")
    spec = dataclasses.replace(SPEC, environment=B)
    [change] = changes(_side(SPEC, old), _side(spec, new))
    assert change == Change(
        kind=ChangeKind.IMAGE, name="lab/small:1", old=f"lab/small@{A}", new=f"lab/small@{B}"
    )


def test_keys_of_the_configuration_are_named_where_they_may_be_seen() -> None:
    spec = dataclasses.replace(SPEC, config=B)
    old = _side(SPEC, config={"a": {"b": 1}, "c": 2})
    [change] = changes(old, _side(spec, config={"a": {"b": 3}, "c": 2}))
    assert change == Change(kind=ChangeKind.CONFIG, name="a.b", old=1, new=3)


def test_an_environment_that_nobody_saw_is_no_difference() -> None:
    assert not changes(_side(), _side(dataclasses.replace(SPEC, environment=None)))


def test_what_may_explain_other_bytes_of_the_same_key() -> None:
    one = Host(id="h1", name="n1", os="Debian", kernel="6", machine="x86_64", cpu="Old")
    two = dataclasses.replace(one, id="h2", name="n2", cpu="New")
    found = unexplained(_side(host=one, seeds={"numpy": 1}), _side(host=two, seeds={"numpy": 2}))
    assert found == (
        Change(kind=ChangeKind.SEED, name="numpy", old=1, new=2),
        Change(kind=ChangeKind.HOST, name="cpu", old="Old", new="New"),
    )


def test_files_that_differ_are_those_with_other_bytes_or_on_one_side_only() -> None:
    old = (FileRecord(path="a", digest=A), FileRecord(path="b", digest=A))
    new = (FileRecord(path="a", digest=A), FileRecord(path="c", digest=B))
    assert [(f.path, f.old, f.new) for f in files_that_differ(old, new)] == [
        ("c", None, B), ("b", A, None),
    ]  # fmt: skip
