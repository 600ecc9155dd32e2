"""Journal entries: the events that the record of a run is folded from.

One entry is one JSON line::

    {"schema": 1, "kind": "job-ended", "run": "<run id>", "at": "<UTC>", "data": {...}}

A reader accepts its own schema version and refuses a newer one; additions that an older reader
may ignore do not change the version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from snakemake_repro.errors import RecordError
from snakemake_repro.records._fields import Json, Record
from snakemake_repro.records.code import CodeText
from snakemake_repro.records.environments import EnvironmentRecord
from snakemake_repro.records.files import FileRecord
from snakemake_repro.records.hosts import Host
from snakemake_repro.records.jobs import JobRecord
from snakemake_repro.records.runs import RunEnd, WorkflowRun

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry(Record):
    """Base of all journal entries."""

    kind: ClassVar[str]

    run_id: str
    at: str

    def to_line(self) -> dict[str, Json]:
        """Return the JSON object of the entry's line."""
        data = self.to_dict()
        run_id, at = data.pop("run_id"), data.pop("at")
        return {
            "schema": SCHEMA_VERSION,
            "kind": self.kind,
            "run": run_id,
            "at": at,
            "data": data,
        }

    @staticmethod
    def from_line(line: Mapping[str, Json]) -> Entry | None:
        """Return the entry of a line's JSON object; ``None`` for a kind not known here.

        Raises:
            RecordError: Not a journal line, a newer schema, or a malformed field.
        """
        version = line.get("schema")
        if type(version) is not int:
            raise RecordError("not a journal line: it has no 'schema' number")
        if version > SCHEMA_VERSION:
            raise RecordError(
                f"journal line of schema {version}, this version reads up to {SCHEMA_VERSION}",
                hint="Upgrade snakemake-executor-plugin-ray to read it.",
            )
        entry_type = _KINDS.get(str(line.get("kind")))
        if entry_type is None:
            return None
        data = line.get("data")
        if not isinstance(data, Mapping):
            raise RecordError(f"journal line of kind {line.get('kind')!r} has no 'data' object")
        return entry_type.from_dict({**data, "run_id": line.get("run"), "at": line.get("at")})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted(Entry):
    """A workflow run began."""

    kind: ClassVar[str] = "run-started"
    run: WorkflowRun


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobEnded(Entry):
    """An attempt ended on its node; written there, before success is reported."""

    kind: ClassVar[str] = "job-ended"
    job: JobRecord


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobAccepted(Entry):
    """Snakemake accepted an attempt's outputs.

    Attributes:
        job_id: The attempt.
        outputs: Outputs that only came into being or changed on acceptance (``touch()``,
            unshadowed files); they supersede the worker's.
        removed: Outputs removed by design since (``temp()``).
    """

    kind: ClassVar[str] = "job-accepted"
    job_id: str
    outputs: tuple[FileRecord, ...] = ()
    removed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobRejected(Entry):
    """Snakemake did not accept an attempt, or it was interrupted."""

    kind: ClassVar[str] = "job-rejected"
    job_id: str
    reason: str | None = None
    interrupted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentSeen(Entry):
    """A writer used an environment for the first time."""

    kind: ClassVar[str] = "environment"
    environment: EnvironmentRecord


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class HostSeen(Entry):
    """A writer ran on a host for the first time."""

    kind: ClassVar[str] = "host"
    host: Host


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CodeSeen(Entry):
    """The driver sent jobs with this code for the first time."""

    kind: ClassVar[str] = "code"
    code: CodeText


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunEnded(Entry):
    """A workflow run ended in an orderly way."""

    kind: ClassVar[str] = "run-ended"
    end: RunEnd


_KINDS: dict[str, type[Entry]] = {
    entry.kind: entry
    for entry in (
        RunStarted,
        JobEnded,
        JobAccepted,
        JobRejected,
        EnvironmentSeen,
        HostSeen,
        CodeSeen,
        RunEnded,
    )
}
