"""``snakemake --logger repro``: record a run whatever executes it.

Snakemake imports every plugin whenever it starts: nothing heavy is imported here.
"""

# No `from __future__ import annotations` here: Snakemake reads the field types at run time.

import logging
from dataclasses import dataclass, field
from typing import Any, Optional

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

__all__ = ["LogHandler", "LogHandlerSettings"]


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):  # type: ignore[misc] # the base class is untyped
    """What ``--logger repro`` can be told."""

    experiment: Optional[str] = field(  # noqa: UP045 - Snakemake reads no other form
        default=None,
        metadata={
            "help": "MLflow experiment that receives the run (default: MLFLOW_EXPERIMENT_NAME, "
            "else the name of the repository).",
            "env_var": False,
            "required": False,
        },
    )
    tracking_uri: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "MLflow tracking server or store (default: MLFLOW_TRACKING_URI, else MLflow's "
            "own default in the working directory).",
            "env_var": False,
            "required": False,
        },
    )
    mlflow_runs: str = field(
        default="auto",
        metadata={
            "help": "Which jobs get an MLflow run of their own: 'all', 'tracked' (those with "
            "metrics), 'workflow' (none), or 'auto' (all of up to 2,000 jobs, then 'tracked').",
            "choices": ("auto", "all", "tracked", "workflow"),
            "env_var": False,
            "required": False,
        },
    )


class LogHandler(LogHandlerBase):  # type: ignore[misc] # the base class is untyped
    """Turns Snakemake's events into a record; an error in doing so never becomes the run's.

    Snakemake calls it in a thread of its own, which may lag behind, and ``close`` when all is
    over. Only what must not wait is done in Snakemake's own thread: temporary files are read
    before they are removed.
    """

    def __post_init__(self) -> None:
        self._witness: Any = None
        self._temporaries: Any = None
        self._silent = bool(self.common_settings.dryrun)
        _logger().addFilter(self._foresee)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one event."""
        event = getattr(record, "event", None)
        if self._silent or (event is None and self._witness is None):
            return
        try:
            if self._witness is None:
                from snakemake_logger_plugin_repro.witness import Witness

                self._witness = Witness(self.settings or LogHandlerSettings(), self._kept())
            self._witness.take("" if event is None else str(event), record)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the run is more important
            self._give_up(exc)

    def close(self) -> None:
        """Write the end of the record."""
        _logger().removeFilter(self._foresee)
        witness, self._witness = self._witness, None
        if witness is not None and not self._silent:
            try:
                witness.end()
            except Exception as exc:  # noqa: BLE001 - likewise
                self._give_up(exc)
        super().close()

    def _foresee(self, record: logging.LogRecord) -> bool:
        """Read what Snakemake removes right after this event; lets every event pass."""
        if not self._silent and str(getattr(record, "event", None)) == "job_finished":
            try:
                self._kept().keep(vars(record)["job_id"])
            except Exception as exc:  # noqa: BLE001 - likewise
                self._give_up(exc)
        return True

    def _kept(self) -> Any:
        if self._temporaries is None:
            from snakemake_logger_plugin_repro.live import Temporaries

            self._temporaries = Temporaries()
        return self._temporaries

    def _give_up(self, exc: Exception) -> None:
        """Say once that the record is incomplete, and take no more events."""
        self._silent = True
        # ours say what happened; of others the type may say more than the message
        known = hasattr(exc, "hint")
        reason = str(exc) if known else f"{type(exc).__name__}: {exc}"
        text = f"The record of this run (--logger repro) is incomplete: {reason}"
        hint = getattr(exc, "hint", None)
        _logger().warning(text if hint is None else f"{text}\nHint: {hint}")

    @property
    def writes_to_stream(self) -> bool:
        """Whether it writes to the terminal."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """Whether it writes a log file."""
        return False

    @property
    def has_filter(self) -> bool:
        """Whether it filters by itself: events that ``--quiet`` hides are recorded, too."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Whether it formats by itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Whether it needs the graph of rules."""
        return False


def _logger() -> logging.Logger:
    """Return Snakemake's logger."""
    return logging.getLogger("snakemake.logging")
