"""Locks of environment files: when two of them stand for the same environment."""

from __future__ import annotations

from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.requirements import parse_lock
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentSpec, Json

LOCK_TAG = "Lock/1"


def lock_digest(spec: EnvironmentSpec) -> Digest:
    """Return the identity of what a lock names, on all platforms; its text does not count.

    Raises:
        EnvironmentSpecError: The lock cannot be used.
    """
    return digest_of(LOCK_TAG, [spec.kind.value, _content(spec)])


def _content(spec: EnvironmentSpec) -> Json:
    if spec.kind is EnvironmentKind.PYPI and spec.lock_text is not None:
        lock = parse_lock(spec.lock_text, name=spec.name)
        packages = [[package.pin, *package.content] for package in lock.packages]
        limits = [lock.python] if lock.environments is None else [lock.python, lock.environments]
        return [*limits, sorted(packages)]
    return spec.lock_text
