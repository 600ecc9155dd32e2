"""Environment files are read strictly: what an index cannot give is refused, never left out."""

from __future__ import annotations

from typing import Any

import pytest

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.pypi_spec import is_pypi, left_out, parse_spec


def test_pip_and_python_are_all_that_an_index_can_give() -> None:
    data = {"channels": ["x"], "dependencies": ["python >=3.11", "pip", {"pip": ["b", "a >=1"]}]}
    spec = parse_spec(data, name="x.yaml")
    assert spec.requirements == ("a >=1", "b")
    assert spec.python == ">=3.11"


@pytest.mark.parametrize(
    ("written", "meant", "oldest"),
    [
        ("python=3.11", "==3.11.*", "3.11"),
        ("python 3.12", "==3.12.*", "3.12"),
        ("python=3.12.*", "==3.12.*", "3.12"),
        ("python==3.11.7", "==3.11.7", "3.11"),
        ("python >3.12,<3.14", "<3.14,>3.12", "3.12"),
        ("python >=3.8", ">=3.8", "3.11"),
        ("python", ">=3.11,<3.14", "3.11"),
    ],
)
def test_condas_version_constraints_become_pythons(written: str, meant: str, oldest: str) -> None:
    spec = parse_spec({"dependencies": [written]}, name="x")
    assert spec.python == meant
    assert spec.oldest_python == oldest


def test_order_and_comments_do_not_change_what_is_asked_for() -> None:
    one = parse_spec({"dependencies": ["python", {"pip": ["a", "b  # why", "# c"]}]}, name="x")
    other = parse_spec({"name": "n", "dependencies": [{"pip": ["b", "a"]}]}, name="y")
    assert one.digest == other.digest


def test_only_what_is_named_may_be_built_from_source() -> None:
    pip = ["b", "--no-binary A_x, b # why", "--no-binary=c"]
    spec = parse_spec({"dependencies": ["python", {"pip": pip}]}, name="x")
    assert (spec.requirements, spec.sources) == (("b",), ("a-x", "b", "c"))
    plain = parse_spec({"dependencies": ["python", {"pip": ["b"]}]}, name="x")
    assert spec.digest != plain.digest


def test_what_is_for_no_python_at_all_is_left_out() -> None:
    lines = ["a ; python_version < '0'", "b ; sys_platform == 'win32'", "c", "d;python_version<'0'"]
    assert list(left_out(lines)) == [lines[0], lines[3]]


def test_what_is_asked_for_has_a_digest_that_stays() -> None:
    """Every committed lock holds it."""
    data = {"dependencies": ["python >=3.11,<3.14", "pip", {"pip": ["tabulate ==0.9.0", "six"]}]}
    digest = parse_spec(data, name="x").digest
    assert digest.value == "b8c5e531500778b39361d3b3d116c3ed0fa3b99cb6c2e2f61d17678332252076"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "expected a `dependencies:` list"),
        ([], "expected a `dependencies:` list"),
        ({"dependencies": "numpy"}, "expected a `dependencies:` list"),
        ({"dependencies": [{"pip": None}]}, "expected one, with a list"),
        ({"dependencies": [{"pip": ["a"]}, {"pip": ["b"]}]}, "2 entries `pip:`"),
        ({"dependencies": [{"pip": [1.5]}]}, "expected a package and versions"),
        ({"dependencies": [{"pip": ["-r other.txt"]}]}, "expected a package and versions"),
        ({"dependencies": [{"pip": ["--no-binary"]}]}, "expected a package and versions"),
        ({"dependencies": [{"pip": ["--no-binary :all:"]}]}, "expected names of packages"),
        ({"dependencies": [{"pip": ["--only-binary a"]}]}, "expected a package and versions"),
        ({"dependencies": [{"pip": ["--index-url http://x"]}]}, "expected a package and versions"),
        ({"dependencies": [{"pip": ["./here"]}]}, "expected a package and versions"),
        ({"dependencies": [{"pip": ["a @ file:///x.whl"]}]}, "URLs cannot be locked"),
        ({"dependencies": ["python <=>3"]}, "no version constraint"),
        ({"dependencies": ["python =3.8"]}, "expected one that admits one of 3.11, 3.12, 3.13"),
        ({"dependencies": ["python"], "variables": {"A": "b"}}, "sets environment variables"),
    ],
)
def test_what_cannot_be_locked_is_named(data: Any, message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        parse_spec(data, name="envs/x.yaml")
    assert "envs/x.yaml" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("dependencies", "alone"),
    [
        (["python", "pip", {"pip": ["six"]}], "index"),
        (["Python >=3.11"], "index"),
        ("numpy", "index"),
        (["python", "numpy"], "channel"),
        (["conda-forge::python"], "channel"),
        (["python", {"conda": []}], "channel"),
        ([None], "channel"),
    ],
)
def test_a_file_is_for_the_index_alone_if_it_asks_for_nothing_else(
    dependencies: Any, alone: str
) -> None:
    assert is_pypi({"dependencies": dependencies}) is (alone == "index")
