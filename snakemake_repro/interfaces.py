"""The Protocols through which operations reach the outside world.

Each is declared where it is consumed and as small as its consumer needs. A fake of one stands in
``tests/fakes.py`` and passes the same contract suite as the real thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from snakemake_repro.logic.containers import ContainerJob, Facts, Ran
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.images import ImageName
from snakemake_repro.records import Digest, EnvironmentRecord, EnvironmentSpec


class Clock(Protocol):
    """Time, as records and timeouts need it."""

    def now(self) -> str:
        """Return UTC as ISO 8601 with microseconds and ``+00:00``."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes backwards."""
        ...


class RealisedEnvironment(Protocol):
    """An environment on this node, ready to run commands."""

    @property
    def record(self) -> EnvironmentRecord:
        """What it consists of."""
        ...

    @property
    def python(self) -> str | None:
        """Its Python interpreter, or ``None`` to use the caller's."""
        ...

    @property
    def programs(self) -> str | None:
        """Directory of its programs, or ``None`` to use those that are found."""
        ...

    @property
    def directories(self) -> tuple[str, ...]:
        """Directories that it consists of, for a job that sees nothing else."""
        ...

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the process environment of a job, derived from ``base``."""
        ...


class Environments(Protocol):
    """Realises environments on this node."""

    def realise(self, spec: EnvironmentSpec) -> RealisedEnvironment:
        """Return the environment, building it first if this node does not have it.

        Safe to call from many processes at once and after a SIGKILL at any moment.

        Raises:
            EnvironmentBuildError: It cannot be built from its lock.
        """
        ...


class ContainerEngine(Protocol):
    """Runs containers on this node."""

    @property
    def facts(self) -> Facts:
        """What it says of itself."""
        ...

    def resolve(self, image: ImageName) -> Mapping[str, Digest]:
        """Return the digest that a tag means now, platform by platform, without pulling.

        Raises:
            EnvironmentSpecError: The registry does not have it, refuses, or does not answer.
        """
        ...

    def image_id(self, reference: str) -> str | None:
        """Return what it calls an image that it has, else ``None``."""
        ...

    def pull(self, reference: str) -> None:
        """Fetch an image by its digest.

        Raises:
            EnvironmentBuildError: It cannot be had.
        """
        ...

    def run(self, job: ContainerJob) -> Ran:
        """Run a job to its end; it ends with this process, too.

        Raises:
            EnvironmentBuildError: The container cannot be started.
        """
        ...

    def sweep(self) -> None:
        """Remove what jobs left whose processes are gone; to be called when none runs here.

        Raises:
            EnvironmentBuildError: It does not answer.
        """
        ...

    def close(self) -> None:
        """Let go of what is kept between jobs."""
        ...


class LineageStore(Protocol):
    """Answers questions about past runs, from the local store or from MLflow."""

    def run_ids(self) -> Sequence[str]:
        """Return the ids of all runs, oldest first."""
        ...

    def load(self, run_id: str) -> RunHistory:
        """Return one run.

        Raises:
            NotFoundError: There is no such run.
            RecordError: Its record cannot be read.
        """
        ...

    def in_mlflow(self, prefix: str) -> Sequence[str]:
        """Return the ids of the runs whose MLflow run's id begins so."""
        ...


class Tracker(Protocol):
    """Receives runs for display and search: MLflow, or nothing.

    Every call may be repeated after a crash and must not create anything twice.
    """

    def begin(self, history: RunHistory) -> str:
        """Make sure the workflow run exists there; return its identifier there.

        Raises:
            TrackingError: The tracking store cannot be reached or refuses.
        """
        ...

    def put_jobs(self, history: RunHistory, job_ids: Sequence[str]) -> None:
        """Deliver the named attempts, complete with files, metrics and environment."""
        ...

    def put_lineage(self, history: RunHistory, part: str, lines: Iterable[bytes]) -> None:
        """Deliver journal lines as the lineage part ``part`` (idempotent by name)."""
        ...

    def finish(self, history: RunHistory) -> None:
        """Close the workflow run with its final status and totals."""
        ...


Outcome = Callable[[str, bytes | None, str | None], None]
"""Callback of a cluster: attempt id, result payload, or ``None`` and why it was lost."""
