"""Locks are read strictly and written so that any index can serve them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.requirements import (
    LockedPackage,
    NewerLockError,
    PypiLock,
    applicable,
    moved,
    parse_compiled,
    parse_lock,
    requirement_lines,
)
from snakemake_repro.records import Digest

A, B = Digest("a" * 64), Digest("b" * 64)
ZEROS = "sha256:" + "0" * 64
HEADER = f"# repro-lock: 1\n# spec: {A}\n# python: >=3.11\n"

digests = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64).map(Digest)
packages = st.builds(
    LockedPackage,
    name=st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True),
    version=st.from_regex(
        r"([1-9]!)?[0-9]{1,2}(\.[0-9]{1,2}){0,3}(rc1|\.post1|\+cpu)?", fullmatch=True
    ),
    marker=st.sampled_from([None, "python_full_version >= '3.12'", 'sys_platform == "win32"']),
    digests=st.lists(digests, min_size=1, max_size=3).map(lambda found: tuple(sorted(found))),
)
made = st.tuples(st.lists(packages, max_size=5), st.booleans()).map(
    lambda drawn: [dataclasses.replace(p, source=drawn[1] and p.name[0] < "k") for p in drawn[0]]
)


def _package(name: str = "six", version: str = "1.0", marker: str | None = None) -> LockedPackage:
    return LockedPackage(name=name, version=version, marker=marker, digests=(A,))


def _lock(*found: LockedPackage) -> PypiLock:
    return PypiLock(spec=A, python=">=3.11,<3.14", packages=found)


@given(made)
def test_a_lock_survives_its_text(found: list[LockedPackage]) -> None:
    lock = _lock(*found)
    assert parse_lock(lock.to_text(), name="x") == lock
    assert parse_lock(lock.to_text().replace(" \\\n   ", ""), name="x") == lock
    assert set(parse_compiled(lock.to_text(), name="x")) == set(found)


@given(st.text(max_size=60) | st.text(alphabet="six=1.0;- \\\n#@:/'<>~!*+hasu256", max_size=60))
def test_any_text_is_a_lock_or_refused_by_its_name(text: str) -> None:
    try:
        lock = parse_lock(HEADER + text, name="x.requirements.lock")
    except EnvironmentSpecError as exc:
        assert "x.requirements.lock" in exc.message  # noqa: PT017 - either outcome is right
    else:
        assert all(package.digests for package in lock.packages)


@given(st.lists(packages, max_size=5))
def test_what_is_written_names_no_place(found: list[LockedPackage]) -> None:
    text = _lock(*found).to_text() + requirement_lines(found)
    assert "://" not in text
    assert "/" not in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"six==1 --hash={ZEROS}", "expected the header of format 1"),
        (f"six==1 --hash={ZEROS}\n{HEADER}", "expected the header of format 1"),
        (HEADER.replace("lock: 1", "lock: x"), "expected the header of format 1"),
        (HEADER.replace(str(A), "sha256:12"), "its header is damaged"),
        (HEADER.replace(">=3.11", "three"), "its header is damaged"),
        (f"{HEADER}six>=1 --hash={ZEROS}", "expected `name==version`"),
        (f"{HEADER}six==1.* --hash={ZEROS}", "six has no exact version: '1.*'"),
        (f"{HEADER}six @ https://host/six.whl --hash={ZEROS}", "expected `name==version`"),
        (f"{HEADER}--index-url https://host/simple", "expected `name==version`"),
        (f"{HEADER}six==1.0 --hash={ZEROS} --index-url http://host", "expected --hash=sha256"),
        (f"{HEADER}six==1.0", "six has no --hash"),
        (f"{HEADER}six==1.0 --hash=md5:0123", "expected --hash=sha256"),
        (f"{HEADER}six==1.0 --hash=sha256:12", "expected --hash=sha256"),
        (f"{HEADER}six==1.0 --hash={'sha256:' + 'A' * 64}", "expected --hash=sha256"),
        (f"{HEADER}six==1.0 ; nonsense --hash={ZEROS}", "six has the marker"),
        (f"{HEADER}<<<<<<< HEAD\nsix==1.0 --hash={ZEROS}", "expected `name==version`"),
    ],
)
def test_a_lock_that_does_not_pin_bytes_is_refused(text: str, message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match="cannot be used") as caught:
        parse_lock(text, name="x.requirements.lock")
    assert message in caught.value.message
    assert "repro lock" in (caught.value.hint or "")


def test_a_lock_of_a_newer_version_is_told_from_a_damaged_one() -> None:
    with pytest.raises(NewerLockError, match="has format 2: expected 1") as caught:
        parse_lock(HEADER.replace("lock: 1", "lock: 2"), name="x")
    assert "newer" in (caught.value.hint or "")


def test_comments_below_the_head_mean_nothing() -> None:
    text = f"{HEADER}six==1.0 \\\n    --hash={A}\n    # via y\n# python: <3\n"
    assert parse_lock(text, name="x").python == ">=3.11"


def test_only_packages_of_this_interpreter_are_installed() -> None:
    old = _package("o", marker="python_version < '3.12'")
    new = _package("n", marker="python_version >= '3.12'")
    lock = _lock(new, old)
    assert applicable(lock, {"python_version": "3.11"}, name="x") == (old,)
    assert applicable(lock, {"python_version": "3.13"}, name="x") == (new,)


def test_of_a_package_that_differs_between_interpreters_the_right_version_is_chosen() -> None:
    old = _package("numpy", "2.4", "python_full_version < '3.12'")
    new = _package("numpy", "2.5", "python_full_version >= '3.12'")
    lock = _lock(_package("z"), new, old, _package("a"))
    chosen = applicable(lock, {"python_full_version": "3.12.1"}, name="x")
    assert [(package.name, package.version) for package in chosen] == [
        ("a", "1.0"),
        ("numpy", "2.5"),
        ("z", "1.0"),
    ]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([_package(), _package(version="2.0")], "two versions of six apply here: 1.0 and 2.0"),
        ([_package(marker="platform_release ~= 'x'")], "cannot be decided"),
    ],
)
def test_what_cannot_be_decided_is_refused(found: list[LockedPackage], message: str) -> None:
    environment: dict[str, Any] = {"platform_release": "6.1-odd"}
    with pytest.raises(EnvironmentSpecError, match=message):
        applicable(_lock(*found), environment, name="x")


@pytest.mark.parametrize(
    ("python", "admitted"), [("3.11.0", True), ("3.13.0rc1", True), ("3.14.0", False)]
)
def test_a_lock_says_for_which_pythons_it_is_made(python: str, admitted: bool) -> None:  # noqa: FBT001
    assert _lock().admits(python) is admitted


def test_what_moved_is_told() -> None:
    before = [_package("a", "1"), _package("b", "1"), _package("c", "1")]
    after = [_package("a", "1"), _package("b", "2"), _package("d", "1")]
    assert moved(before, after) == (("b", "1", "2"), ("c", "1", None), ("d", None, "1"))


def test_what_uv_prints_is_read() -> None:
    text = (
        f"six==1.17.0 \\\n    --hash={A} \\\n    --hash={B}\n    # via x\n"
        f"X_y==1 ; sys_platform == 'win32' \\\n    --hash={A}\n"
    )
    assert [(p.name, p.version, len(p.digests)) for p in parse_compiled(text, name="x")] == [
        ("six", "1.17.0", 2),
        ("x-y", "1", 1),
    ]


def test_a_pin_keeps_the_marker_and_no_digest() -> None:
    assert _package(marker="os_name == 'nt'").pin == "six==1.0 ; os_name == 'nt'"
    assert _package().pin == "six==1.0"
