"""The lock that package tools have in common is read strictly, and its places do not count."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.pylock import parse_pylock, unmet
from snakemake_repro.logic.pypi_spec import PypiSpec, parse_spec
from snakemake_repro.logic.requirements import PypiLock, applicable, parse_lock
from snakemake_repro.records import Digest

A, B = "a" * 64, "b" * 64


def _spec(*requirements: str, python: str = "python >=3.11") -> PypiSpec:
    return parse_spec({"dependencies": [python, {"pip": list(requirements)}]}, name="x.yaml")


def _file(digest: Any = A, **more: Any) -> dict[str, Any]:
    return {"url": "https://host/six.whl", "hashes": {"sha256": digest}, **more}


def _six(**more: Any) -> dict[str, Any]:
    return {"name": "six", "version": "1.0", "wheels": [_file(B), _file(A)], **more}


def _data(*packages: Any, **more: Any) -> dict[str, Any]:
    return {"lock-version": "1.0", "created-by": "t", "packages": list(packages), **more}


def _read(*packages: Any, **more: Any) -> PypiLock:
    return parse_pylock(_data(*packages, **more), _spec("six"), name="pylock.x.toml")


def test_it_is_read_as_one_of_ours() -> None:
    lock = _read(_six(name="Six", sdist=_file("c" * 64), **{"requires-python": ">=3.8"}))
    assert lock.spec == _spec("six").digest
    [package] = lock.packages
    assert (package.name, package.version, package.marker) == ("six", "1.0", None)
    assert package.digests == (Digest(A), Digest(B)), "of wheels only"
    assert "://" not in lock.to_text()
    assert parse_lock(lock.to_text(), name="x") == lock


def test_it_holds_for_the_pythons_that_both_it_and_the_file_admit() -> None:
    lock = _read(_six(), **{"requires-python": "<3.13"})
    assert lock.python == "<3.13,>=3.11"
    assert not lock.admits("3.13.1")


def test_of_a_package_that_may_be_built_the_source_archive_counts() -> None:
    spec = _spec("six", "--no-binary six")
    sdist = {"hashes": {"sha256": "c" * 64}}
    [package] = parse_pylock(_data(_six(sdist=sdist)), spec, name="x").packages
    assert (package.source, package.digests) == (True, (Digest("c" * 64),))
    with pytest.raises(EnvironmentSpecError, match="six has no source archive"):
        parse_pylock(_data(_six()), spec, name="x")


@pytest.mark.parametrize(
    ("marker", "installed"),
    [
        ("sys_platform == 'linux'", True),
        ("sys_platform == 'win32'", False),
        ("'test' in extras", False),
        ("'test' not in extras", True),
        ('"default" in dependency_groups', True),
        ('"default" in dependency_groups and sys_platform == "win32"', False),
        ("'docs' in dependency_groups or 'test' in extras", False),
    ],
)
def test_what_is_installed_by_default_is_installed(marker: str, installed: bool) -> None:  # noqa: FBT001
    lock = _read(_six(marker=marker), **{"default-groups": ["default"]})
    lock = parse_lock(lock.to_text(), name="x")
    environment = {"sys_platform": "linux", "python_version": "3.11"}
    assert bool(applicable(lock, environment, name="x")) is installed


def test_environments_that_it_is_not_for_are_refused() -> None:
    environments = ["sys_platform == 'win32'", "os_name == 'posix' or os_name == 'x'"]
    lock = parse_lock(_read(_six(), environments=environments).to_text(), name="x")
    here = {"sys_platform": "linux", "os_name": "posix"}
    assert applicable(lock, here, name="x") == lock.packages
    with pytest.raises(EnvironmentSpecError, match="does not hold on this node"):
        applicable(lock, {"sys_platform": "linux", "os_name": "y"}, name="x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "lock-version None: expected 1.x"),
        ({"lock-version": 1}, "lock-version 1: expected 1.x"),
        (_data() | {"lock-version": "2.0"}, "lock-version '2.0': expected 1.x"),
        ({"lock-version": "1.0"}, "no list `packages`"),
        (_data("six"), "no list `packages`"),
        (_data({}), "a package without a name"),
        (_data({"name": "six"}), "six has no exact version: None"),
        (_data(_six(version="1.*")), r"six has no exact version: '1\.\*'"),
        (_data(_six(vcs={"url": "x"})), "six is given by `vcs`, not by a package index"),
        (_data(_six(directory={"path": "."})), "six is given by `directory`"),
        (_data(_six(archive={"url": "x"})), "six is given by `archive`"),
        (_data(_six(wheels=[], sdist=_file())), "six has no wheel"),
        (_data(_six(wheels=3)), "six has a file without a sha256"),
        (_data(_six(wheels=["six.whl"])), "six has a file without a sha256"),
        (_data(_six(wheels=[{"hashes": {"md5": "1"}}])), "six has a file without a sha256"),
        (_data(_six(wheels=[_file("A" * 64)])), "six has the sha256 'AAA"),
        (_data(_six(marker="nonsense")), "six has the marker 'nonsense'"),
        (_data(_six(marker=3)), "six has the marker 3"),
        (_data(environments=["nonsense"]), "it has the marker 'nonsense'"),
        (_data(environments="linux"), "environments is no list of texts"),
        (_data(**{"default-groups": [1]}), "default-groups is no list of texts"),
        (_data(**{"requires-python": "three"}), "requires-python 'three'"),
        (_data(**{"requires-python": 3}), "requires-python 3"),
    ],
)
def test_a_lock_that_does_not_pin_bytes_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        parse_pylock(data, _spec("six"), name="pylock.x.toml")
    assert "pylock.x.toml cannot be used" in caught.value.message
    assert caught.value.hint


json = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
KEYS = ("name", "version", "marker", "wheels", "sdist", "vcs")


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), json), max_size=2), json)
def test_any_data_is_a_lock_or_refused_by_its_name(packages: list[Any], python: Any) -> None:
    data = _data(*packages, **{"requires-python": python})
    try:
        parse_pylock(data, _spec(), name="pylock.x.toml")
    except EnvironmentSpecError as exc:
        assert "pylock.x.toml" in exc.message  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("requirement", "missing"),
    [
        ("six", False),
        ("SIX[extra] >=0.9", False),
        ("six >1", True),
        ("seven", True),
        ("seven ; sys_platform == 'win32'", False),
        ("six >1 ; sys_platform == 'win32'", True),
    ],
)
def test_whether_it_fits_its_file_is_seen_from_what_it_holds(
    requirement: str,
    missing: bool,  # noqa: FBT001
) -> None:
    assert unmet(_spec(requirement), _read(_six())) == (requirement if missing else None)
