"""What the product knows, as immutable data with a JSON form.

No input or output happens here, no clock and no environment variable is read.
"""

from snakemake_repro.records._fields import Json, Record
from snakemake_repro.records.code import CodeText
from snakemake_repro.records.comparators import Comparator, ComparatorKind
from snakemake_repro.records.digests import MIN_PREFIX, Digest
from snakemake_repro.records.environments import (
    EnvironmentKind,
    EnvironmentRecord,
    EnvironmentSpec,
    Package,
)
from snakemake_repro.records.files import FileKind, FileRecord
from snakemake_repro.records.hosts import Gpu, Host, ResourceUse
from snakemake_repro.records.isolation import (
    BaseSystem,
    Isolation,
    IsolationMode,
)
from snakemake_repro.records.jobs import (
    JobRecord,
    JobSpec,
    JobState,
    JobStatus,
    Metric,
    Origin,
    Tier,
    Trial,
    TrialState,
)
from snakemake_repro.records.journal import (
    SCHEMA_VERSION,
    CodeSeen,
    Entry,
    EnvironmentSeen,
    HostSeen,
    JobAccepted,
    JobEnded,
    JobRejected,
    RunEnded,
    RunStarted,
)
from snakemake_repro.records.runs import RunEnd, WorkflowRun
from snakemake_repro.records.sources import GitState, Source

__all__ = [
    "MIN_PREFIX",
    "SCHEMA_VERSION",
    "BaseSystem",
    "CodeSeen",
    "CodeText",
    "Comparator",
    "ComparatorKind",
    "Digest",
    "Entry",
    "EnvironmentKind",
    "EnvironmentRecord",
    "EnvironmentSeen",
    "EnvironmentSpec",
    "FileKind",
    "FileRecord",
    "GitState",
    "Gpu",
    "Host",
    "HostSeen",
    "Isolation",
    "IsolationMode",
    "JobAccepted",
    "JobEnded",
    "JobRecord",
    "JobRejected",
    "JobSpec",
    "JobState",
    "JobStatus",
    "Json",
    "Metric",
    "Origin",
    "Package",
    "Record",
    "ResourceUse",
    "RunEnd",
    "RunEnded",
    "RunStarted",
    "Source",
    "Tier",
    "Trial",
    "TrialState",
    "WorkflowRun",
]
