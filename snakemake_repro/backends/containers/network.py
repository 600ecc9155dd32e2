"""A network with nothing in it that one container after the other joins.

To make such a network takes an engine longer than to make all else of a container.
"""

from __future__ import annotations

import contextlib
import select
from typing import Any

from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.containers.run import attach, create, remove
from snakemake_repro.logic.containers import ContainerJob

_IDLE = ("sh", "-c", "read -r _")
"""Waits for the end of its standard input, which this process holds open."""
_PIDS = 16


class EmptyNetwork:
    """The network of one idle container, which ends with this process."""

    def __init__(self, engine: Engine, *, user: str, hostname: str) -> None:
        """Make nothing yet.

        Args:
            engine: Of the containers that are to join.
            user: ``uid:gid`` of the idle one.
            hostname: As they see it.
        """
        self._engine = engine
        self._user = user
        self._hostname = hostname
        self._held = contextlib.ExitStack()
        self._container = ""
        self._connection: Any = None

    def mode(self, image: str) -> str:
        """Return the engine's name for the network, making it where it is not there.

        Args:
            image: One that the engine has.

        Raises:
            EnvironmentBuildError: The engine refuses the idle container.
        """
        if not self._is_there():
            self._make(image)
        return f"container:{self._container}"

    def close(self) -> None:
        """Let the idle container end."""
        self._connection = None
        self._held.close()

    def _is_there(self) -> bool:
        """Tell whether the idle container runs: it says nothing until its connection ends."""
        if self._connection is None:
            return False
        ended, _, _ = select.select([self._connection.fileno()], [], [], 0)
        return not ended

    def _make(self, image: str) -> None:
        self.close()
        idle = ContainerJob(
            image=image,
            command=_IDLE,
            workdir="/",
            binds=(),
            variables={},
            user=self._user,
            cpus=1,
            pids=_PIDS,
            network="none",
            hostname=self._hostname,
            read_only=True,
        )
        container = create(self._engine, idle)
        try:
            with self._engine.errors(f"a container of {image} cannot be started"):
                connection = attach(self._engine, container, self._held)
                self._engine.client.api.start(container)
        except BaseException:
            self._held.close()
            remove(self._engine, container)
            raise
        self._container, self._connection = container, connection
