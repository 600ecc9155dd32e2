"""The store of a node: where it is, and what its environments give to a job."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakemake_repro.backends.environments import interpreters, pypi
from snakemake_repro.backends.environments.pypi import PypiEnvironment
from snakemake_repro.backends.environments.shim import script_search_path
from snakemake_repro.backends.environments.store import NodeEnvironments, default_root
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.logic.requirements import LockedPackage, PypiLock
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentSpec

EMPTY = PypiLock(spec=Digest("a" * 64), python=">=3.11", packages=())


def _spec(*packages: LockedPackage, name: str = "envs/x.yaml") -> EnvironmentSpec:
    lock = PypiLock(spec=Digest("a" * 64), python=">=3.11", packages=packages)
    return EnvironmentSpec(kind=EnvironmentKind.PYPI, name=name, lock_text=lock.to_text())


def _package(digest: str = "a", version: str = "1.0") -> LockedPackage:
    return LockedPackage(name="six", version=version, marker=None, digests=(Digest(digest * 64),))


def test_the_store_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_root() == Path("/cache/snakemake-repro/environments")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/x")
    assert default_root() == Path("/home/x/.cache/snakemake-repro/environments")


def test_a_user_without_a_home_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    with pytest.raises(EnvironmentBuildError, match="no place for environments") as caught:
        default_root()
    assert "--ray-environment-store" in (caught.value.hint or "")


@pytest.mark.parametrize("other", [_package(digest="b"), _package(version="1.1")])
def test_other_bytes_are_another_environment(other: LockedPackage) -> None:
    one = pypi.plan(_spec(_package())).record
    again = pypi.plan(_spec(_package(), name="envs/y.yaml")).record
    assert one.digest == again.digest
    assert one.digest != pypi.plan(_spec(other)).record.digest


@pytest.mark.parametrize("changed", ["python_version", "python_implementation"])
def test_another_interpreter_is_another_environment(
    monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    before = pypi.plan(_spec()).record
    monkeypatch.setattr(interpreters.platform, changed, lambda: "3.11.99")
    after = pypi.plan(_spec()).record
    assert before.digest != after.digest


def test_a_relative_store_stays_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = NodeEnvironments(Path("store")).realise(_spec())
    assert environment.python is not None
    assert Path(environment.python).is_relative_to(tmp_path / "store")


def test_an_environment_that_was_removed_is_built_anew(tmp_path: Path) -> None:
    environments = NodeEnvironments(tmp_path)
    python = Path(environments.realise(_spec()).python or "")
    python.unlink()
    environments.realise(_spec())
    assert python.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"digest": 1}', b"\xff"])
def test_what_does_not_say_that_it_is_complete_is_built_anew(tmp_path: Path, damage: bytes) -> None:
    python = Path(NodeEnvironments(tmp_path).realise(_spec()).python or "")
    prefix = python.parents[1]
    (prefix / "leftover").touch()
    prefix.with_suffix(".ok").write_bytes(damage)
    NodeEnvironments(tmp_path).realise(_spec())
    assert python.exists()
    assert not (prefix / "leftover").exists()


def test_a_store_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentBuildError, match=r"envs/x\.yaml cannot be built") as caught:
        NodeEnvironments(tmp_path / "file" / "store").realise(_spec())
    assert "--ray-environment-store" in (caught.value.hint or "")


def test_a_job_sees_nothing_of_other_environments(tmp_path: Path) -> None:
    environment = PypiEnvironment(tmp_path, pypi.plan(_spec()))
    leaks = {"PYTHONPATH": "x", "PYTHONHOME": "x", "R_LIBS": "x", "PERL5LIB": "x"}
    leaks["CONDA_PREFIX"] = "x"
    variables = environment.variables({**leaks, "LANG": "C"})
    assert not leaks.keys() & variables.keys()
    assert variables["LANG"] == "C"
    assert variables["PYTHONNOUSERSITE"] == "1"
    assert variables["PATH"].split(":")[0] == str(tmp_path / "bin")
    assert "" not in variables["PATH"].split(":"), "an empty entry is the current directory"


def test_scripts_find_five_packages_of_the_host(tmp_path: Path) -> None:
    place = script_search_path(tmp_path)
    assert {path.name for path in place.iterdir()} == {
        "snakemake",
        "snakemake_interface_common",
        "snakemake_interface_logger_plugins",
        "snakemake_interface_storage_plugins",
        "snakemake_repro",
    }
    assert all((path / "__init__.py").is_file() for path in place.iterdir())
    assert script_search_path(tmp_path) == place


def test_an_aborted_attempt_to_link_them_is_no_hindrance(tmp_path: Path) -> None:
    place = script_search_path(tmp_path)
    building = place.with_name(f".{place.name}.new")
    place.rename(building)
    (building / "snakemake").unlink()
    assert (script_search_path(tmp_path) / "snakemake").exists()
    assert not building.exists()
