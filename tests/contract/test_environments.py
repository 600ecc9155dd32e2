"""Whoever realises environments keeps the same promises: on this node, and in memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeEnvironments

from snakemake_repro.backends.environments.store import NodeEnvironments
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.interfaces import Environments
from snakemake_repro.logic.requirements import LockedPackage, PypiLock
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentSpec, FileRecord

KINDS: dict[str, Callable[[Path], Environments]] = {
    "on this node": lambda root: NodeEnvironments(root / "store"),
    "in memory": lambda _: FakeEnvironments(),
}
HOST = EnvironmentSpec(kind=EnvironmentKind.HOST, name="host")
ELSEWHERE = LockedPackage(
    name="colorama",
    version="0.4.6",
    marker="sys_platform == 'win32'",
    digests=(Digest("c" * 64),),
)


@pytest.fixture(params=list(KINDS))
def environments(request: pytest.FixtureRequest, tmp_path: Path) -> Environments:
    return KINDS[request.param](tmp_path)


def _spec(*packages: LockedPackage, python: str = ">=3.11", name: str = "x") -> EnvironmentSpec:
    lock = PypiLock(spec=Digest("a" * 64), python=python, packages=packages)
    return EnvironmentSpec(
        kind=EnvironmentKind.PYPI,
        name=f"envs/{name}.yaml",
        source=FileRecord(path=f"envs/{name}.yaml", digest=Digest("a" * 64), size=1),
        lock=FileRecord(path=f"envs/{name}.requirements.lock", digest=Digest("b" * 64), size=1),
        lock_text=lock.to_text(),
    )


def test_the_host_is_never_called_pinned_and_changes_nothing(environments: Environments) -> None:
    host = environments.realise(HOST)
    assert host.record.kind is EnvironmentKind.HOST
    assert not host.record.pinned
    assert host.python is None
    base = {"PATH": "/bin", "PYTHONPATH": "/mine"}
    assert host.variables(base) == base


def test_a_locked_environment_is_pinned_and_knows_where_it_comes_from(
    environments: Environments,
) -> None:
    spec = _spec()
    record = environments.realise(spec).record
    assert record.pinned
    assert (record.kind, record.name) == (EnvironmentKind.PYPI, "envs/x.yaml")
    assert (record.source, record.lock) == (spec.source, spec.lock)
    assert record.python is not None
    assert record.interpreter is not None


def test_its_identity_is_what_is_in_it_and_not_what_it_is_called(
    environments: Environments,
) -> None:
    one = environments.realise(_spec(name="one")).record
    other = environments.realise(_spec(ELSEWHERE, name="other")).record
    assert one.digest == other.digest, "a package of another platform is not in it"
    assert (one.name, other.name) == ("envs/one.yaml", "envs/other.yaml")
    assert other.packages == ()
    assert one.digest != environments.realise(HOST).record.digest


def test_asking_twice_gives_the_same(environments: Environments) -> None:
    one, other = environments.realise(_spec()), environments.realise(_spec())
    assert one.record == other.record
    assert one.python == other.python


def test_its_programs_come_first_and_nothing_of_another_environment_leaks_in(
    environments: Environments,
) -> None:
    environment = environments.realise(_spec())
    assert environment.python is not None
    base = {"PATH": "/usr/bin", "PYTHONPATH": "/leak", "HOME": "/home/x"}
    variables = environment.variables(base)
    assert variables["PATH"] == f"{Path(environment.python).parent}{os.pathsep}/usr/bin"
    assert variables["VIRTUAL_ENV"] == str(Path(environment.python).parent.parent)
    assert "PYTHONPATH" not in variables
    assert variables["HOME"] == "/home/x"
    assert "PYTHONPATH" in base, "what was given is left alone"


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (dataclasses.replace(_spec(), lock_text=None), EnvironmentSpecError),
        (dataclasses.replace(_spec(), lock_text="six==1.0"), EnvironmentSpecError),
        (_spec(python="<3"), EnvironmentBuildError),
    ],
    ids=["no lock", "no header", "another Python"],
)
def test_what_cannot_be_realised_is_refused(
    environments: Environments, spec: EnvironmentSpec, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"envs/x"):
        environments.realise(spec)
