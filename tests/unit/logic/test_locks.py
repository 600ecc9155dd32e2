"""When two locks stand for the same environment."""

from __future__ import annotations

import dataclasses

from snakemake_repro.logic.locks import lock_digest
from snakemake_repro.logic.requirements import LockedPackage, PypiLock
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentSpec

ONE = LockedPackage(name="one", version="1.0", marker=None, digests=(Digest("a" * 64),))
TWO = LockedPackage(name="two", version="1.0", marker="python_version < '3.12'", digests=())


def _spec(*packages: LockedPackage, python: str = ">=3.11", spec: str = "c") -> EnvironmentSpec:
    packages = tuple(
        dataclasses.replace(p, digests=(*p.digests, Digest("b" * 64))) for p in packages
    )
    lock = PypiLock(spec=Digest(spec * 64), python=python, packages=packages)
    return EnvironmentSpec(kind=EnvironmentKind.PYPI, name="x.yaml", lock_text=lock.to_text())


def test_what_a_lock_names_is_its_identity() -> None:
    digest = lock_digest(_spec(ONE, TWO))
    assert digest != lock_digest(_spec(ONE))
    assert digest != lock_digest(_spec(ONE, dataclasses.replace(TWO, version="1.1")))
    assert digest != lock_digest(_spec(ONE, dataclasses.replace(TWO, marker=None)))
    assert digest != lock_digest(_spec(dataclasses.replace(ONE, digests=()), TWO))
    assert digest != lock_digest(_spec(ONE, TWO, python=">=3.12"))
    assert digest != lock_digest(_spec(dataclasses.replace(ONE, source=True), TWO))


def test_its_text_its_order_and_what_it_was_made_from_do_not_count() -> None:
    spec = _spec(ONE, TWO)
    assert lock_digest(spec) == lock_digest(_spec(TWO, ONE, spec="d"))
    assert spec.lock_text is not None
    remarked = dataclasses.replace(spec, lock_text=f"{spec.lock_text}# a remark\n", name="y.yaml")
    assert lock_digest(spec) == lock_digest(remarked)
