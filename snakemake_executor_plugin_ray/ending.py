"""The end of a run: its record goes on its way, and who waits for it is told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_ray.settings import ExecutorSettings
from snakemake_repro.backends.notifier import Notifier
from snakemake_repro.errors import NotificationError
from snakemake_repro.operations.deliver import SOON_DELIVERED
from snakemake_repro.operations.sync import pending, postponed

_PROGRESS_S = 0.25
_NOTICE_S = 10.0
_SHORT_NOTICE_S = 2.0
"""An interrupted run has to be gone within seconds."""


class Ending:
    """What is left to do when the last job of a run has ended."""

    def __init__(
        self, settings: ExecutorSettings, *, run_id: str, workdir: Path, logger: Any
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            settings: As given by the user.
            run_id: Of the run.
            workdir: Its working directory.
            logger: Snakemake's.

        Raises:
            UsageError: Nobody can be told as asked.
        """
        self._patience = settings.delivery_wait
        self._notifier = None if settings.notify is None else Notifier(settings.notify)
        self._run_id = run_id
        self._workdir = workdir
        self._logger = logger
        self._began = time.monotonic()

    def wait_for_delivery(self) -> None:
        """Give the recorder a moment for the rest; let it go on alone where that is not enough."""
        if postponed():
            self._logger.info("The record stays in .repro until `repro sync` brings it to MLflow.")
            return
        deadline = time.monotonic() + self._patience
        left = pending(self._workdir).jobs
        while 0 < left <= SOON_DELIVERED and time.monotonic() < deadline:
            time.sleep(_PROGRESS_S)
            left = pending(self._workdir).jobs
        if left:
            self._logger.info(
                f"{left} records are still on their way to MLflow; delivery goes on in the "
                "background (`repro sync` waits for it)."
            )

    def notify(self, status: str, *, jobs: int) -> None:
        """Tell how the run ended; that nobody could be told is no failure of the run.

        Args:
            status: ``succeeded``, ``failed`` or ``interrupted``.
            jobs: How many were sent to the cluster.
        """
        if self._notifier is None:
            return
        seconds = round(time.monotonic() - self._began, 3)
        name = self._workdir.name
        message = {
            "run": self._run_id,
            "status": status,
            "workdir": str(self._workdir),
            "jobs": jobs,
            "seconds": seconds,
            "text": f"Snakemake in {name}: run {self._run_id[:8]} {status} after {seconds:,.0f} s "
            f"({jobs:,} job{'' if jobs == 1 else 's'} executed)",
        }
        patience = _SHORT_NOTICE_S if status == "interrupted" else _NOTICE_S
        try:
            self._notifier.send(message, seconds=patience)
        except NotificationError as exc:
            self._logger.warning(f"--ray-notify: {exc.message}")
