"""The engine of a node as a worker uses it, whichever it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from snakemake_repro.backends.containers import owners
from snakemake_repro.backends.containers.apptainer import Apptainer
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.containers.network import EmptyNetwork
from snakemake_repro.backends.containers.run import run
from snakemake_repro.interfaces import ContainerEngine
from snakemake_repro.logic.containers import ContainerJob, Ran
from snakemake_repro.records.tasks import APPTAINER


def connect(kind: str, store: Path) -> ContainerEngine:
    """Return this machine's engine.

    Args:
        kind: One of ``ENGINES``.
        store: Of realised environments on this node.

    Raises:
        EnvironmentBuildError: It is not there, or does not answer.
    """
    return Apptainer(store) if kind == APPTAINER else NodeEngine(kind)


class NodeEngine(Engine):
    """Docker or Podman; a ``ContainerEngine``."""

    _network: EmptyNetwork | None = None

    def run(self, job: ContainerJob) -> Ran:
        """Run a job to its end.

        Raises:
            EnvironmentBuildError: The engine refuses the container.
            EngineLostError: The engine went away.
        """
        # Podman keeps an idle container as long as another one refers to it
        if job.shares and self.kind == "docker":
            job = dataclasses.replace(job, network=self._join(job), hostname=None)
        status, said = run(self, job)
        return Ran(status=status, said=said)

    def sweep(self) -> None:
        """Remove the containers of processes that are gone, and this process's own.

        Raises:
            EnvironmentBuildError: The engine does not answer.
        """
        owners.sweep(self)

    def close(self) -> None:
        """Let go of what is kept between jobs."""
        if self._network is not None:
            self._network.close()

    def _join(self, job: ContainerJob) -> str:
        if self._network is None:
            self._network = EmptyNetwork(self, user=job.user, hostname=job.hostname or "")
        return self._network.mode(job.image)
