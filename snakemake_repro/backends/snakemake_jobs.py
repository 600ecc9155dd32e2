"""Snakemake's jobs -> our tasks: which tier may run a job, and the plain data it needs there.

The direct tier runs what it can reproduce exactly: shell, script, notebook and wrapper rules whose
values are plain data. Everything else, and every surprise, takes the fork tier, where Snakemake
itself executes the job: falling back is always right, a subtly different result never is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote as quote_path

from snakemake_repro.backends.files import recorded_path
from snakemake_repro.backends.snakemake_code import CodeReader
from snakemake_repro.backends.snakemake_containers import container_request, not_forked
from snakemake_repro.backends.snakemake_direct import (
    TBD,
    Hermetic,
    IndirectError,
    UndecidedError,
    benchmark_of,
    not_enclosed,
    require_direct,
    require_portable,
)
from snakemake_repro.backends.snakemake_environments import HOST, RuleEnvironments
from snakemake_repro.backends.snakemake_forks import check_forkable
from snakemake_repro.backends.snakemake_modules import modules_of
from snakemake_repro.backends.snakemake_resources import defaulted_resources, tmpdir_of
from snakemake_repro.backends.snakemake_shell import shell_command
from snakemake_repro.backends.snakemake_values import (
    builtin,
    comparator_of,
    flags_of,
    kind_of,
    members_of,
    named,
    scalar,
)
from snakemake_repro.errors import ReproError
from snakemake_repro.logic import plain
from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.logic.resources import disk_of, gpus_of, limit_of
from snakemake_repro.records import (
    CodeText,
    Digest,
    EnvironmentKind,
    EnvironmentSpec,
    FileKind,
    FileRecord,
    JobSpec,
    Json,
    Tier,
)
from snakemake_repro.records.tasks import (
    APPTAINER,
    ENGINES,
    Command,
    ContainerRequest,
    IsolationRequest,
    Member,
    Task,
)

LOG_ROOT = ".snakemake/ray"

_FLAGS = (
    "temp",
    "protected",
    "touch",
    "directory",
    "ensure",
    "pipe",
    "service",
    "update",
    "report",
    "nodelocal",
)
_CONFIG_KINDS = ("script", "wrapper", "notebook", "run", "template", "cwl")
_MAX_LOG_NAME = 120
_MAX_REASON = 1_000
_FINISHED = "Finished (was: "


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the translation needs to know of the run.

    Attributes:
        fork_only: Never use the direct tier.
        hermetic: How jobs are closed off.
        variables: Declared environment variables with their values.
        engine: Container engine of the nodes.
        apart: Nodes do not see the working directory.
        network: Whether rules in containers have the network that do not say it themselves.
    """

    run_id: str
    workdir: Path
    fork_only: bool
    record: bool
    environment_store: str | None
    config_digest: Digest | None
    variables: Mapping[str, str]
    secrets: tuple[str, ...]
    hermetic: Hermetic = dataclasses.field(default_factory=Hermetic)
    engine: str = ENGINES[0]
    apart: bool = False
    network: bool = True


class Translator:
    """Builds tasks from the jobs of one workflow."""

    def __init__(
        self,
        workflow: Any,
        settings: Settings,
        *,
        redact: Redactor,
        snakemake_argv: Callable[[Any], Sequence[str]],
        known: Callable[[Sequence[str]], Json],
        environments: RuleEnvironments,
        keep: Callable[[CodeText], None],
    ) -> None:
        """Remember the collaborators.

        Args:
            workflow: Snakemake's workflow.
            settings: Of this run.
            redact: Removes values of secret variables.
            snakemake_argv: Gives Snakemake's own command line for a job.
            known: Gives stat-cache entries for paths that were hashed before.
            environments: Those that the rules ask for.
            keep: Takes the text of each piece of code once, without secrets.
        """
        self._workflow = workflow
        self._settings = settings
        self._redact = redact
        self._argv = snakemake_argv
        self._known = known
        self._environments = environments
        self._keep = keep
        self._code = CodeReader(workflow, self._keep_code)

    def task(self, job: Any) -> Task:
        """Translate one job or group job.

        Raises:
            EnvironmentSpecError: The job asks for an environment that cannot be given.
            IsolationError: The job cannot run hermetically as asked.
        """
        members = members_of(job)
        isolation = self.isolation(job)
        command, tier = self._command(job, hermetic=isolation is not None)
        environment = HOST if tier is Tier.FORK else self._environments.of(job)
        paths = [str(file) for member in members for file in member.input]
        resources = dict(job.resources.items())
        defaulted = defaulted_resources(job, self._workflow)
        return Task(
            id=uuid.uuid4().hex,
            run_id=self._settings.run_id,
            workdir=str(self._settings.workdir),
            log=self._log_path(job, members[0]),
            tier=tier,
            command=command,
            members=tuple(
                self._member(member) if tier is Tier.DIRECT else self._placed(member)
                for member in members
            ),
            environment=environment,
            attempt=job.attempt,
            threads=max(1, int(job.threads)),
            group=str(job.groupid) if job.is_group() else None,
            variables=dict(self._settings.variables),
            secrets=self._settings.secrets,
            container=self._container(job, environment),
            environment_store=self._settings.environment_store,
            known=self._known(paths) if self._settings.record else None,
            record=self._settings.record,
            isolation=isolation,
            gpus=gpus_of(resources),
            limit_s=limit_of(resources),
            disk=disk_of(resources, defaulted),
        )

    def isolation(self, job: Any) -> IsolationRequest | None:
        """Return how a job is to be closed off, ``None`` if it is not.

        Raises:
            IsolationError: It is to be, and cannot.
        """
        settings = self._settings
        return settings.hermetic.request(
            job, self._workflow, fork_only=settings.fork_only, engine=self._engine
        )

    def check_isolation(self, job: Any) -> IsolationRequest | None:
        """Return how a job is to be closed off, before anything runs.

        Raises:
            IsolationError: What ``task`` would raise.
        """
        request = self.isolation(job)
        if request is not None:
            self._check_direct(job, not_enclosed)
        return request

    def check_environment(self, job: Any) -> EnvironmentKind:
        """Return what kind of environment a job has, before anything runs.

        Raises:
            EnvironmentSpecError: What ``task`` would raise.
        """
        kind = self._environments.of(job).kind
        if kind is not EnvironmentKind.HOST:
            check_forkable(job)  # whatever makes it take the fork tier
        if self._engine(job) == APPTAINER:
            self._check_direct(job, not_forked)
        return kind

    def environment_files(self, job: Any) -> Iterator[Path]:
        """Yield the environment files in whose environment a job or group job is to run.

        Raises:
            EnvironmentSpecError: A rule asks for a container and for a conda environment.
        """
        return self._environments.files(members_of(job))

    def member(self, job: Any) -> Member:
        """Translate a job that Snakemake runs or reuses itself, for the record."""
        return self._member(job)

    # -- what to run ------------------------------------------------------------------------

    def _engine(self, job: Any) -> str | None:
        """Return who runs a job's container, ``None`` where it has none."""
        contained = self._environments.of(job).kind is EnvironmentKind.CONTAINER
        return self._settings.engine if contained else None

    def _container(self, job: Any, environment: EnvironmentSpec) -> ContainerRequest | None:
        if environment.kind is not EnvironmentKind.CONTAINER:
            return None
        return container_request(
            job,
            self._workflow,
            engine=self._settings.engine,
            network=self._settings.network,
            defaulted=defaulted_resources(job, self._workflow),
        )

    def _command(self, job: Any, *, hermetic: bool) -> tuple[Command, Tier]:
        try:
            command = self._direct(job)
        except (IndirectError, plain.NotPlainError) as exc:
            if hermetic:
                raise not_enclosed(job, exc) from exc
            if APPTAINER in map(self._engine, members_of(job)):
                raise not_forked(job, exc) from exc
            return self._fork(job), Tier.FORK
        if command.executable and self._engine(job) is not None:
            # the path is the driver's; the image has its own
            command = dataclasses.replace(command, executable=Path(command.executable).name)
        return command, Tier.DIRECT

    def _check_direct(self, job: Any, refusal: Callable[[Any, Exception], ReproError]) -> None:
        try:
            self._direct(job)
        except (IndirectError, plain.NotPlainError) as exc:
            if not isinstance(exc, UndecidedError):  # which is asked again when the job is sent
                raise refusal(job, exc) from exc

    def _fork(self, job: Any) -> Command:
        argv = list(self._argv(job))
        # Snakemake leaves it away where it names no rules
        if self._workflow.workflow_settings.cache is not None and "--cache" not in argv:
            argv.append("--cache")
        start, workdir = self._workflow.workdir_init, str(self._settings.workdir)
        if start == workdir:
            return Command(kind="snakemake", argv=tuple(argv))
        if self._settings.apart:  # where it starts here is nowhere there
            return Command(kind="snakemake", argv=("--directory", workdir, *argv))
        return Command(kind="snakemake", argv=tuple(argv), directory=start)

    def _direct(self, job: Any) -> Command:
        settings = self._settings
        shadowed = settings.hermetic.shadows(job)
        require_direct(job, self._workflow, fork_only=settings.fork_only, shadowed=shadowed)
        tmpdir, wanted = tmpdir_of(job)
        if job.is_shell:
            made = shell_command(job, self._workflow, tmpdir=tmpdir, wanted=wanted)
        else:
            made = Command(kind="call", call=self._call(job), tmpdir=tmpdir, tmpdir_wanted=wanted)
        if (benchmark := benchmark_of(job, self._workflow)) is not None:
            made = dataclasses.replace(made, call=self._call(job), benchmark=benchmark)
        if settings.apart:
            require_portable(made, settings.workdir, shadowed=shadowed)
        return made

    def _call(self, job: Any) -> dict[str, Json]:
        from snakemake.shell import shell

        rule, workflow = job.rule, self._workflow
        namespace = rule.run_func.__globals__
        resources = {
            name: "" if name == "tmpdir" else value for name, value in job.resources.items()
        }
        call: dict[str, Json] = {
            "function": kind_of(job),
            "path": str(rule.script or rule.notebook or rule.wrapper),
            "basedir": rule.basedir.get_path_or_uri(secret_free=True),
            "prefix": workflow.workflow_settings.wrapper_prefix,
            "input": named(job.input._plainstrings()),  # noqa: SLF001
            "output": named(job.output._plainstrings()),  # noqa: SLF001
            "params": named(job.params),
            "wildcards": named(job.wildcards),
            "threads": job.threads,
            "resources": {
                "items": [plain.encode(scalar(value)) for value in resources.values()],
                "names": [[name, index, None] for index, name in enumerate(resources)],
            },
            "log": named(job.log._plainstrings()),  # noqa: SLF001
            "config": plain.encode(builtin(namespace.get("config", {}))),
            "rule": rule.name,
            "jobid": job.jobid,
            "modules": list(modules_of(job, workflow)),
            "cleanup_scripts": workflow.execution_settings.cleanup_scripts,
            "sourcecache_path": str(workflow.sourcecache.cache_path),
            "runtime_sourcecache_path": str(workflow.sourcecache.runtime_cache_path),
            "shell": {
                "args": dict(shell._process_args),  # noqa: SLF001
                "prefix": shell._process_prefix,  # noqa: SLF001
                "suffix": shell._process_suffix,  # noqa: SLF001
            },
        }
        return call

    # -- what to record ---------------------------------------------------------------------

    def _member(self, job: Any) -> Member:
        rule = job.rule
        kind = kind_of(job)
        code = self._code.of(job, kind)
        record = self._settings.record
        hermetic = self._settings.hermetic.mode(job) is not None
        spec = JobSpec(
            rule=rule.name,
            kind=kind,
            wildcards={name: str(value) for name, value in job.wildcards.items()},
            code=code.digest,
            modules=code.modules,
            command=self._shown_command(job) if record and job.is_shell else None,
            params=tuple(self._params(job)) if record else (),
            inputs=tuple(self._files(job.input)) if record or hermetic else (),
            outputs=tuple(self._files(job.output)),
            config=self._settings.config_digest if kind in _CONFIG_KINDS else None,
            threads=max(1, int(job.threads)),
            source_name=code.name,
        )
        return Member(
            id=uuid.uuid4().hex,
            jobid=job.jobid,
            spec=spec,
            logs=tuple(str(log) for log in job.log),
            reason=self._reason(job) if record else None,
            resources={
                name: plain.describe(scalar(value))
                for name, value in job.resources.items()
                if not name.startswith("_") and name != "tmpdir" and not name.endswith("_mib")
            },
        )

    def _placed(self, job: Any) -> Member:
        """Translate a job of a fork, with the environment that its commands run in."""
        environment = self._environments.of(job)
        if environment.kind is EnvironmentKind.HOST:
            return self._member(job)
        return dataclasses.replace(
            self._member(job),
            environment=environment,
            container=self._container(job, environment),
        )

    def _shown_command(self, job: Any) -> str:
        """Return the command as the record shows it: every node has a temporary directory."""
        return self._redact.text(job.shellcmd).replace(TBD, "$TMPDIR")

    def _params(self, job: Any) -> Iterator[Json]:
        for name, value in job.params._allitems():  # noqa: SLF001 - the one way to pair them
            yield [name, self._redact.json(plain.describe(builtin(value)))]

    def _files(self, files: Any) -> Iterator[FileRecord]:
        names: dict[int, str] = {}
        for name, (start, end) in files._get_names():  # noqa: SLF001
            for index in range(start, start + 1 if end is None else end):
                names.setdefault(index, name)
        for index, file in enumerate(files):
            flags = flags_of(file)
            yield FileRecord(
                path=recorded_path(self._settings.workdir / file, self._settings.workdir),
                kind=FileKind.UNOBSERVED,
                name=names.get(index),
                flags=tuple(flag for flag in _FLAGS if flag in flags),
                comparator=comparator_of(file),
            )

    def _reason(self, job: Any) -> str | None:
        """Return why Snakemake runs a job, in its words."""
        dag = self._workflow.dag
        if not dag.needrun(job):
            return None
        text = str(dag.reason(job))
        if text.startswith(_FINISHED):
            text = text[len(_FINISHED) : -1]
        return self._redact.text(text)[:_MAX_REASON] or None

    def _keep_code(self, code: CodeText) -> None:
        if self._settings.record:
            self._keep(dataclasses.replace(code, text=self._redact.text(code.text)))

    def _log_path(self, job: Any, first: Any) -> str:
        rule = job.groupid if job.is_group() else job.rule.name
        wildcards = ",".join(f"{k}={v}" for k, v in sorted(first.wildcards.items()))
        name = quote_path(wildcards, safe="=,+ ") or "job"
        if job.is_group() or len(name) > _MAX_LOG_NAME:
            outputs = "\0".join(map(str, first.output))
            digest = hashlib.sha256(f"{wildcards}\0{outputs}".encode("utf-8", "replace"))
            name = f"{name[:_MAX_LOG_NAME]}-{digest.hexdigest()[:12]}"
        attempt = f"{self._settings.run_id[:8]}-{job.attempt}.log"
        return f"{LOG_ROOT}/{quote_path(str(rule), safe='')}/{name}/{attempt}"
