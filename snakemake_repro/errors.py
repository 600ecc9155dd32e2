"""The exceptions of snakemake-repro: one tree, message and advice apart.

A message says what went wrong, with which object, what was expected and what was found.
The advice how to mend it stands in ``hint``, so that each face can render it in its own way.
"""

from __future__ import annotations


class ReproError(Exception):
    """Base of everything this package raises on purpose.

    Attributes:
        message: What, which object, expected, got; one sentence or a few lines, no advice.
        hint: What the user can do about it, or ``None`` where nothing is known to help.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def render(self) -> str:
        """Return message and hint as the text that a terminal shows."""
        return self.message if self.hint is None else f"{self.message}\nHint: {self.hint}"


class UsageError(ReproError):
    """An option or argument has a value that cannot be meant."""


class RecordError(ReproError):
    """A stored document is truncated, of a newer schema, or not what it claims to be."""


class NotFoundError(ReproError):
    """No run, file or job of that name is in the record."""


class EnvironmentSpecError(ReproError):
    """A rule asks for an environment that cannot be resolved to exact bytes."""


class EnvironmentBuildError(ReproError):
    """A locked environment could not be realised on this node."""


class ClusterError(ReproError):
    """The Ray cluster cannot be started, reached, or does not fit this installation."""


class TrackingError(ReproError):
    """The MLflow tracking store cannot be reached or refuses what it is given."""


class StorageError(ReproError):
    """The local store cannot be written or read (no space, no permission, corrupt)."""


class NotificationError(ReproError):
    """Whoever was to be told of a run could not be."""


class ExecutionError(ReproError):
    """A job could not be started, or the machinery around it failed."""


class IsolationError(ReproError):
    """A job cannot be closed off as asked, on this node or for what its rule is."""


class VerificationError(ReproError):
    """Observed bytes differ from the record."""
