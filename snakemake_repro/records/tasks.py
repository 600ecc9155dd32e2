"""Tasks: what travels from the driver to a node to run an attempt, and what comes back.

Everything here is plain JSON data: no pickle from the cluster is ever loaded by the driver.
Tasks are never stored; what is worth keeping of them becomes a ``JobRecord``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from snakemake_repro.records._fields import Json, Record
from snakemake_repro.records.environments import EnvironmentSpec
from snakemake_repro.records.isolation import IsolationMode
from snakemake_repro.records.jobs import JobRecord, JobSpec, Tier


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark(Record):
    """What Snakemake is to write down of a job's use of the machine.

    Attributes:
        path: Of the file, absolute: a shadow job runs elsewhere.
        repeats: How often the job runs for it.
        extended: Write the columns that describe the job as well.
        measured: Wall time, CPU time and peak memory in MB of each run, where the job ran in
            containers and only the file is left to write.
        programs: How each run starts, where the job is closed off: a program with its arguments,
            the last three of which are the job's own.
    """

    path: str
    repeats: int = 1
    extended: bool = False
    measured: Json = None
    programs: Json = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Command(Record):
    """How a job is started on its node.

    Attributes:
        kind: ``shell`` (a text for a shell), ``call`` (Snakemake's own script or wrapper
            function), ``snakemake`` (Snakemake itself in a fork), ``benchmark`` (one of the first
            two, measured by Snakemake) or ``program``.
        text: The shell text, complete with Snakemake's prefix and suffix.
        executable: The shell.
        call: Encoded arguments of the call, see ``logic.plain``; of a text what a benchmark shows.
        argv: Arguments of Snakemake's command line, or a program with its own.
        directory: Where Snakemake starts, if not in the working directory: it obeys ``workdir:``.
        tmpdir: The job's temporary directory as its author set it; ``None`` leaves the choice to
            the node.
        tmpdir_wanted: The job has the resource ``tmpdir``, so that ``TMPDIR`` is to be set.
        benchmark: To be made of it, if any.
    """

    kind: str
    text: str | None = None
    executable: str | None = None
    call: Json = None
    argv: tuple[str, ...] = ()
    directory: str | None = None
    tmpdir: str | None = None
    tmpdir_wanted: bool = False
    benchmark: Benchmark | None = None


APPTAINER = "apptainer"
ENGINES = ("docker", "podman", APPTAINER)
"""Container engines that a node may have."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ContainerRequest(Record):
    """What a job in a container needs beside its environment.

    Attributes:
        engine: One of ``ENGINES``.
        memory: Limit in bytes, where the rule's author set one; 0 for none.
        gpus: GPUs that Ray reserves for the job; may be a fraction.
        sources: Absolute directories of the workflow, which its scripts and commands may read.
        network: Whether the job has the node's network, or none; a hermetic job's is closed as
            its ``IsolationRequest`` says.
    """

    engine: str = ENGINES[0]
    memory: int = 0
    gpus: float = 0.0
    sources: tuple[str, ...] = ()
    network: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Member(Record):
    """One Snakemake job of a task; several when a group runs as one task.

    Attributes:
        id: Attempt id.
        spec: The job's spec, still without input digests and environment.
        logs: Paths of the rule's log files, relative to the working directory.
        reason: Why Snakemake runs it, in its words.
        environment: Where a job of a fork runs its commands; ``None`` for where the fork runs.
        container: What it needs where that is a container, else ``None``.
    """

    id: str
    jobid: int
    spec: JobSpec
    logs: tuple[str, ...] = ()
    reason: str | None = None
    resources: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    environment: EnvironmentSpec | None = None
    container: ContainerRequest | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Inside(Record):
    """Where a job of a fork runs its commands.

    Attributes:
        rule: Of the job.
        wildcards: Likewise; with the rule they name the job.
        name: Of the environment.
        digest: Of the environment as realised.
        search_path: Where Python scripts find what makes their ``snakemake`` object.
        sets: Variables that the environment sets.
        unsets: Variables that it does not let in.
        program: Runs commands in a container; empty for other environments.
        host: It does run where Snakemake runs.
    """

    rule: str
    wildcards: Mapping[str, str] = dataclasses.field(default_factory=dict)
    name: str
    digest: str
    search_path: str = ""
    sets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unsets: tuple[str, ...] = ()
    program: tuple[str, ...] = ()
    host: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Contained(Record):
    """What it takes to run commands of a fork's job in its container.

    Attributes:
        image: By digest.
        workdir: Absolute path of the run's working directory.
        log: Absolute path of the fork's log.
        scratch: The fork's own directory.
        variables: Names of the variables that the container gets.
    """

    member: Member
    image: str
    workdir: str
    log: str
    scratch: str
    variables: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class IsolationRequest(Record):
    """What a node needs to know to close a job off; it travels with the job.

    Attributes:
        network: The rule's outputs are all fixed by ``ensure(sha256=...)``, so that the job may
            use the network.
        base: Directory on the nodes with the root file system that jobs see; ``None`` for the
            node's own system directories.
        trace: Name undeclared reads, where the node can.
        shadow: The rule has a shadow directory; the staged ones are as good, unless the job is
            only watched.
    """

    mode: IsolationMode
    network: bool = False
    base: str | None = None
    trace: bool = True
    shadow: bool = False

    @property
    def watches(self) -> bool:
        """Whether the job is left as it is and watched."""
        return self.mode is IsolationMode.REPORT


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Shipment(Record):
    """What travels with a task where driver and nodes share no file system.

    Attributes:
        base: Working directory of the driver, absolute.
        package: Directory of this package there, absolute.
        sources: Archive of the workflow's sources there, absolute.
        outside: Directories among the sources that are not below the working directory, absolute.
        inputs: Relative to the working directory.
        outputs: Likewise; they come back if the job succeeds.
        logs: Likewise; they come back in any case.
    """

    base: str
    package: str
    sources: str
    outside: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Task(Record):
    """One unit of work for the cluster.

    Attributes:
        id: Identifier of the submission; a resubmitted task gets a new one.
        workdir: Absolute path of the working directory.
        log: Where standard output and error go, relative to the working directory.
        variables: Values of environment variables that the workflow declares (``envvars:``).
        secrets: Names among them whose values must not be recorded.
        environment: Where the command starts.
        container: What the job needs where that is a container, else ``None``.
        environment_store: Root of realised environments on the node; ``None`` for the default.
        known: Stat-cache entries of inputs that were hashed before.
        record: Hash, and write the journal.
        isolation: How the job is to be closed off; ``None`` if it is not.
        shipment: What travels; ``None`` where the file system is shared.
        shadow: Absolute path of the directory in which the job runs instead, made by the driver.
        gpus: GPUs that Ray reserves for the job; may be a fraction.
        limit_s: Seconds that the job may run; ``None`` for as long as it likes.
        disk: Bytes that must be free where the working directory is.
    """

    id: str
    run_id: str
    workdir: str
    log: str
    tier: Tier
    command: Command
    members: tuple[Member, ...]
    environment: EnvironmentSpec
    attempt: int = 1
    resubmission: int = 0
    threads: int = 1
    group: str | None = None
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    container: ContainerRequest | None = None
    environment_store: str | None = None
    known: Json = None
    record: bool = True
    isolation: IsolationRequest | None = None
    shipment: Shipment | None = None
    shadow: str | None = None
    gpus: float = 0.0
    limit_s: float | None = None
    disk: int = 0

    @property
    def directory(self) -> str:
        """Where the job runs."""
        return self.shadow or self.workdir


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TaskResult(Record):
    """What a node reports of a task.

    Attributes:
        jobs: One record per member, in the task's order.
        error: What failed, in words for the terminal; ``None`` on success.
        tail: Last lines of the log of a failed task.
        known: Stat-cache entries of the files that were hashed.
        entries: Lines for the journal, as JSON, that the node could not write there itself.
    """

    id: str
    succeeded: bool
    jobs: tuple[JobRecord, ...] = ()
    error: str | None = None
    hint: str | None = None
    tail: str | None = None
    known: Json = None
    entries: Json = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ResourceRequest(Record):
    """What a task asks of Ray.

    Attributes:
        cpus: Logical CPUs.
        memory: Bytes; 0 reserves none.
        gpus: GPUs; may be a fraction.
        custom: Ray's custom resources.
        labels: What the node is to be labelled with.
    """

    cpus: float = 1.0
    memory: int = 0
    gpus: float = 0.0
    custom: Mapping[str, float] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Node(Record):
    """What one node of the cluster has in all."""

    cpus: float
    memory: int
    gpus: float = 0.0
    custom: Mapping[str, float] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)


HELPERS_OFFER = "REPRO_HELPERS"
"""Names the variable that tells a job where to ask for helpers, and for how many, as JSON."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wish(Record):
    """What a job asks of a helper.

    Attributes:
        module: Run as a program by the Python of the job's environment.
        cpus: That the cluster reserves for it.
        gpus: Likewise; may be a fraction.
    """

    module: str
    cpus: float = 1.0
    gpus: float = 0.0
