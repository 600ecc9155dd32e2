"""Fakes of our own Protocols; each passes the contract suite of the real thing."""

from __future__ import annotations

import dataclasses
import platform
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from packaging.markers import default_environment

from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.requirements import LockedPackage, applicable, parse_lock
from snakemake_repro.records import (
    EnvironmentKind,
    EnvironmentRecord,
    EnvironmentSpec,
    Package,
)


@dataclasses.dataclass(kw_only=True)
class MemoryRun:
    """A workflow run as a tracking store would show it.

    Attributes:
        status: ``RUNNING`` until it is finished.
        jobs: Attempt id -> one (name, state, paths of outputs) for each time it was made.
        trials: Attempt id -> number, state, parameters and last measurements of each.
    """

    status: str = "RUNNING"
    jobs: dict[str, list[tuple[str, str, tuple[str, ...]]]] = dataclasses.field(
        default_factory=dict
    )
    lineage: dict[str, bytes] = dataclasses.field(default_factory=dict)
    trials: dict[str, list[Any]] = dataclasses.field(default_factory=dict)


class MemoryTracker:
    """A ``Tracker`` that keeps what it is given; several may share one store."""

    def __init__(self, store: dict[str, MemoryRun]) -> None:
        self.store = store

    def begin(self, history: RunHistory) -> str:
        """Make sure that the run exists."""
        self.store.setdefault(history.run.id, MemoryRun())
        return f"memory-{history.run.id}"

    def put_jobs(self, history: RunHistory, job_ids: Sequence[str]) -> None:
        """Keep attempts; one that is there is written over."""
        run = self._run(history)
        jobs = {job.record.id: job for job in history.jobs}
        for job_id in job_ids:
            job = jobs[job_id]
            paths = tuple(file.path for file in job.record.outputs)
            run.jobs[job_id] = [(job.record.spec.rule, job.state.value, paths)]
            run.trials[job_id] = [
                (
                    trial.number,
                    trial.state.value,
                    {name: str(value) for name, value in trial.params.items()},
                    {metric.name: metric.value for metric in trial.metrics},
                )
                for trial in job.record.trials
            ]

    def put_lineage(self, history: RunHistory, part: str, lines: Iterable[bytes]) -> None:
        """Keep a part."""
        self._run(history).lineage[part] = b"".join(lines)

    def finish(self, history: RunHistory) -> None:
        """Close the run."""
        status = "interrupted" if history.end is None else history.end.status
        ends = {"succeeded": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
        self._run(history).status = ends[status]

    def _run(self, history: RunHistory) -> MemoryRun:
        self.begin(history)
        return self.store[history.run.id]


class FakeEnvironments:
    """Environments that are only said to be there; an ``Environments``."""

    def realise(self, spec: EnvironmentSpec) -> RealisedEnvironment:
        """Return what the lock names for this interpreter, without installing it."""
        if spec.kind is EnvironmentKind.HOST:
            return FakeEnvironment(record=_record(spec, []), python=None)
        if spec.lock_text is None:
            raise EnvironmentSpecError(f"{spec.name} came without its lock")
        lock = parse_lock(spec.lock_text, name=spec.name)
        if not lock.admits(platform.python_version()):
            raise EnvironmentBuildError(f"{spec.name} is locked for Python {lock.python}")
        markers = {name: str(value) for name, value in default_environment().items()}
        packages = applicable(lock, markers, name=spec.name)
        return FakeEnvironment(record=_record(spec, packages), python="/fake/bin/python")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FakeEnvironment:
    """One of them; a ``RealisedEnvironment``."""

    record: EnvironmentRecord
    python: str | None

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Put the environment first on the search path; keep the rest but for what leaks."""
        if self.python is None:
            return dict(base)
        kept = {name: value for name, value in base.items() if name != "PYTHONPATH"}
        return {**kept, "PATH": f"/fake/bin:{base.get('PATH', '')}", "VIRTUAL_ENV": "/fake"}


def _record(spec: EnvironmentSpec, packages: Sequence[LockedPackage]) -> EnvironmentRecord:
    content = [[p.name, p.version, [str(d) for d in p.digests]] for p in packages]
    return EnvironmentRecord(
        digest=digest_of("FakeEnvironment/1", [spec.kind.value, content]),
        kind=spec.kind,
        pinned=spec.kind is not EnvironmentKind.HOST,
        name=spec.name,
        platform=sysconfig.get_platform(),
        python=platform.python_version(),
        interpreter=digest_of("FakeInterpreter/1", []),
        source=spec.source,
        lock=spec.lock,
        packages=tuple(
            Package(name=p.name, version=p.version, digests=p.digests) for p in packages
        ),
    )
