"""Environment files and locks are read strictly and written so that any index can serve them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.requirements import (
    LockedPackage,
    PypiLock,
    moved,
    parse_compiled,
    parse_lock,
    parse_spec,
)
from snakemake_repro.records import Digest

A, B = Digest("a" * 64), Digest("b" * 64)

digests = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64).map(Digest)
packages = st.builds(
    LockedPackage,
    name=st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True),
    version=st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,3}(rc1|\.post1|\+cpu)?", fullmatch=True),
    marker=st.sampled_from([None, "python_full_version >= '3.12'", 'sys_platform == "win32"']),
    digests=st.lists(digests, min_size=1, max_size=3).map(lambda found: tuple(sorted(found))),
)


@given(st.lists(packages, max_size=5))
def test_a_lock_survives_its_text(found: list[LockedPackage]) -> None:
    lock = PypiLock(spec=A, python=">=3.11,<3.14", packages=tuple(found))
    assert parse_lock(lock.to_text(), name="x") == lock


def test_pip_and_python_are_all_that_an_index_can_give() -> None:
    data = {"channels": ["x"], "dependencies": ["python >=3.11", "pip", {"pip": ["b", "a >=1"]}]}
    spec = parse_spec(data, name="x.yaml")
    assert spec.requirements == ("a >=1", "b")
    assert spec.python == ">=3.11"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("python=3.11", "==3.11.*"),
        ("python 3.12", "==3.12.*"),
        ("python==3.11.7", "==3.11.7"),
        ("python", ">=3.11,<3.14"),
    ],
)
def test_condas_version_constraints_become_pythons(written: str, meant: str) -> None:
    assert parse_spec({"dependencies": [written]}, name="x").python == meant


def test_order_and_comments_do_not_change_what_is_asked_for() -> None:
    one = parse_spec({"dependencies": ["python", {"pip": ["a", "b"]}]}, name="x")
    other = parse_spec({"name": "n", "dependencies": [{"pip": ["b", "a"]}]}, name="y")
    assert one.digest == other.digest


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "expected a `dependencies:` list"),
        ({"dependencies": "numpy"}, "expected a `dependencies:` list"),
        ({"dependencies": ["numpy"]}, r"asks for conda packages \(numpy\)"),
        ({"dependencies": ["conda-forge::python"]}, "asks for conda packages"),
        ({"dependencies": [{"pip": ["-r other.txt"]}]}, "expected a package and versions"),
        ({"dependencies": [{"pip": ["a @ file:///x.whl"]}]}, "URLs cannot be locked"),
        ({"dependencies": ["python <=>3"]}, "no version constraint"),
    ],
)
def test_what_cannot_be_locked_is_named(data: Any, message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        parse_spec(data, name="envs/x.yaml")
    assert "envs/x.yaml" in caught.value.message
    assert caught.value.hint


HEADER = f"# repro-lock: 1\n# spec: {A}\n# python: >=3.11\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("six==1 --hash=sha256:" + "0" * 64, "expected the header of format 1"),
        (HEADER.replace("lock: 1", "lock: 2"), "expected the header of format 1"),
        (HEADER + "six>=1 --hash=sha256:" + "0" * 64, "expected `name==version`"),
        (
            HEADER + "six @ https://host/six.whl --hash=sha256:" + "0" * 64,
            "expected `name==version`",
        ),
        (HEADER + "--index-url https://host/simple", "expected `name==version`"),
        (HEADER + "six==1.0", "six has no --hash"),
        (HEADER + "six==1.0 ; nonsense --hash=sha256:" + "0" * 64, "six has the marker"),
    ],
)
def test_a_lock_that_does_not_pin_bytes_is_refused(text: str, message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match="cannot be used") as caught:
        parse_lock(text, name="x.requirements.lock")
    assert message in caught.value.message


def test_only_packages_of_this_interpreter_are_installed() -> None:
    old = LockedPackage(name="o", version="1", marker="python_version < '3.12'", digests=(A,))
    new = LockedPackage(name="n", version="1", marker="python_version >= '3.12'", digests=(B,))
    lock = PypiLock(spec=A, python="", packages=(new, old))
    assert lock.applicable({"python_version": "3.11"}) == (old,)
    assert lock.applicable({"python_version": "3.13"}) == (new,)


def test_what_moved_is_told() -> None:
    def package(name: str, version: str) -> LockedPackage:
        return LockedPackage(name=name, version=version, marker=None, digests=(A,))

    before = [package("a", "1"), package("b", "1"), package("c", "1")]
    after = [package("a", "1"), package("b", "2"), package("d", "1")]
    assert moved(before, after) == (("b", "1", "2"), ("c", "1", None), ("d", None, "1"))


def test_what_uv_prints_is_read() -> None:
    text = f"six==1.17.0 \\\n    --hash={A} \\\n    --hash={B}\n# a comment\nX_y==1 ; sys_platform == 'win32' \\\n    --hash={A}\n"
    assert [(p.name, p.version, len(p.digests)) for p in parse_compiled(text, name="x")] == [
        ("six", "1.17.0", 2),
        ("x-y", "1", 1),
    ]
