"""One run of the executor: composes the parts and answers Snakemake's calls."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_ray.beginning import Beginning
from snakemake_executor_plugin_ray.checks import check, check_jobs, check_resources
from snakemake_executor_plugin_ray.ending import Ending
from snakemake_executor_plugin_ray.settings import ExecutorSettings
from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.containers.node import connect
from snakemake_repro.backends.environments.imagelock import image_lock_path
from snakemake_repro.backends.environments.store import default_root
from snakemake_repro.backends.files import recorded_path
from snakemake_repro.backends.follower import Follower
from snakemake_repro.backends.gateway import Gateway
from snakemake_repro.backends.host import host_id
from snakemake_repro.backends.parents import Parents, this_process
from snakemake_repro.backends.snakemake_direct import TESTED_VERSIONS, Hermetic, tested
from snakemake_repro.backends.snakemake_environments import RuleEnvironments
from snakemake_repro.backends.snakemake_jobs import LOG_ROOT, Settings, Translator
from snakemake_repro.backends.snakemake_lines import place_of
from snakemake_repro.backends.snakemake_outputs import prepared, prepared_again
from snakemake_repro.backends.snakemake_resources import defaulted_resources
from snakemake_repro.backends.snakemake_rounds import lift_default_rate, merge_rounds
from snakemake_repro.backends.snakemake_run import (
    config_digest,
    secrets_of,
    variables_of,
)
from snakemake_repro.backends.snakemake_shipping import (
    Shipping,
    assume_shared_files,
    shares_files,
)
from snakemake_repro.backends.snakemake_trigger import forget_locks
from snakemake_repro.backends.snakemake_values import argv_of, asker_of, members_of
from snakemake_repro.backends.staging import discard
from snakemake_repro.interfaces import ContainerEngine
from snakemake_repro.logic import plain
from snakemake_repro.logic.inert import inert
from snakemake_repro.logic.redaction import Redactor, strip_credentials
from snakemake_repro.logic.resources import fit, spelled
from snakemake_repro.operations.apart import clear_arriving
from snakemake_repro.operations.dispatch import Dispatcher
from snakemake_repro.operations.first_use import lock_on_first_use
from snakemake_repro.operations.helpers import why_without
from snakemake_repro.operations.images import WorkflowImages
from snakemake_repro.operations.session import Recording
from snakemake_repro.operations.surroundings import check_isolation, clear_stages
from snakemake_repro.recorder import start_recorder
from snakemake_repro.records import EnvironmentKind, Origin, Tier
from snakemake_repro.records.tasks import Node, Task, TaskResult

_PREFERRED = {"container": EnvironmentKind.CONTAINER, "conda": EnvironmentKind.CONDA}
_WIDE_DAG = 1_000


class Run:
    """State and collaborators of one ``snakemake --executor ray``."""

    def __init__(
        self,
        *,
        workflow: Any,
        settings: ExecutorSettings,
        logger: Any,
        command: Callable[[Any], str],
        succeeded: Callable[[Any], None],
        failed: Callable[[Any, str, list[str]], None],
        crashed: Callable[[Exception], None],
    ) -> None:
        """Check the settings and compose the parts; starts nothing.

        Args:
            workflow: Snakemake's.
            settings: As given by the user.
            logger: Snakemake's.
            command: Formats the command of a job for a node.
            succeeded: Reports a job to Snakemake.
            failed: Reports a job with a message and its log files to Snakemake.
            crashed: Reports an error to Snakemake that is no job's, from another thread.

        Raises:
            UsageError: A setting has a value that cannot be meant.
        """
        check(settings, workflow)
        self._workflow = workflow
        self._settings = settings
        self._logger = logger
        self._succeeded = succeeded
        self._failed = failed
        self._clock = SystemClock()
        self._id = uuid.uuid4().hex
        self._workdir = Path.cwd()
        self._lock = threading.Lock()
        self._results: dict[Any, TaskResult] = {}
        self._reasons: dict[Any, str] = {}
        self._tasks: dict[Any, Task] = {}
        self._warned: set[str] = set()
        self._begun = self._ended = False
        self._apart = not shares_files(workflow)
        self._shipping: Shipping | None = None
        if self._apart:
            assume_shared_files(workflow)
        secrets = secrets_of(workflow)
        self._redact = Redactor(secrets)
        self._ending = Ending(settings, run_id=self._id, workdir=self._workdir, logger=logger)
        self._recording = Recording(self._workdir, self._id, self._clock)
        self._images = WorkflowImages(
            image_lock_path(self._snakefile()),
            self._workdir,
            snakefile=self._snakefile(),
            engine=self._engine,
            frozen=settings.locks == "frozen",
            say=logger.info,
        )
        self._translator = Translator(
            workflow,
            Settings(
                run_id=self._id,
                workdir=self._workdir,
                engine=settings.container_engine,
                apart=self._apart,
                network=settings.container_network == "host",
                fork_only=settings.tier == "fork",
                record=not settings.no_record,
                environment_store=_absolute(settings.environment_store),
                hermetic=Hermetic(
                    default=settings.hermetic,
                    base=_absolute(settings.base),
                    trace=settings.hermetic_trace == "auto",
                ),
                config_digest=config_digest(plain.describe(dict(workflow.config))),
                variables=variables_of(workflow),
                secrets=tuple(secrets),
            ),
            redact=self._redact,
            snakemake_argv=lambda job: argv_of(command(job)),
            known=self._recording.known,
            keep=self._recording.code,
            environments=RuleEnvironments(
                workflow,
                self._workdir,
                image=None if settings.environments == "host" else self._images.spec,
                link_scripts=settings.link_scripts,
                preferred=_PREFERRED.get(settings.environments),
            ),
        )
        self._parents = Parents(self._workdir, host_id())
        self._follower = Follower(self._workdir, logger.info)
        self._dispatcher = Dispatcher(
            workdir=self._workdir,
            resubmissions=settings.resubmissions,
            now=self._clock.now,
            journal=self._recording.append,
            crashed=crashed,
            sent=self._follower.begin if settings.follow else None,
        )
        self._address = settings.address or os.environ.get("RAY_ADDRESS") or None
        self._gateway = Gateway(
            address=self._address,
            cpus=settings.cpus,
            log=self._workdir / ".snakemake" / "ray" / "gateway.log",
            done=self._dispatcher.done,
            lost=self._dispatcher.lost,
            changed=self._nodes_changed,
            broken=self._dispatcher.broken,
            crashed=crashed,
        )
        self._dispatcher.connection = self._gateway

    # -- called by Snakemake, in its scheduler's thread --------------------------------------

    def prepare(self) -> None:
        """Refuse what cannot run before anything does, and let the cluster start meanwhile.

        Raises:
            EnvironmentSpecError: A rule's environment cannot be given.
            IsolationError: A rule cannot run hermetically as asked.
            EnvironmentBuildError: A rule needs a container, and no engine answers.
        """
        ours = {job.rule: job for job in self._planned() if not job.is_local}
        if not ours:
            return
        self._gateway.start()
        try:
            if self._workflow.execution_settings.lock:  # no other run is under way here
                clear_stages(self._workdir)
                clear_arriving(self._workdir)
            self._lock_on_first_use(ours.values())
            if self._apart:
                archive = self._workdir / LOG_ROOT / f"sources-{self._id[:8]}.tar"
                self._shipping = Shipping(self._workflow, self._workdir, archive)
            requests, contained = check_jobs(ours.values(), self._translator)
            # nodes elsewhere have engines of their own, and their own variables that name them
            if self._address is None:
                check_isolation(requests, self._settings.environment_store)
                if contained:
                    self._engine()
        except BaseException:
            self._gateway.close()
            raise

    def begin(self) -> None:
        """Wait for the cluster, write the beginning of the record, say where things are.

        Raises:
            ClusterError: The cluster cannot be had, or a rule asks for what no node has.
            StorageError: The record cannot be written.
        """
        if self._begun:
            return
        record = None
        if not self._settings.no_record:  # while the cluster starts
            record = Beginning.of(self._workflow, self._settings, self._id, self._redact)
        nodes = self._gateway.nodes()
        check_resources(self._planned(), self._workflow, nodes)
        self._announce(nodes, record)
        self._begun = True
        lift_default_rate(self._workflow, sys.argv)
        # Snakemake would wait for all running jobs, and whoever sends it, for no job at all
        with contextlib.suppress(ValueError):  # only a main thread has handlers
            signal.signal(signal.SIGTERM, signal.default_int_handler)

    def submit(self, job: Any) -> None:
        """Send a job to the cluster.

        Raises:
            ClusterError: No node of the cluster can ever run the job.
            EnvironmentSpecError: The job's environment cannot be given.
            IsolationError: The job cannot run hermetically as asked.
        """
        task = self._translator.task(job)
        if self._shipping is not None:
            task = dataclasses.replace(task, shipment=self._shipping.shipment(members_of(job)))
        if task.tier is Tier.DIRECT:
            task = prepared(task, job, self._workflow)
        fitted = fit(
            asker=asker_of(job),
            threads=max(0, int(job.threads)),
            resources=dict(job.resources.items()),
            defaulted=defaulted_resources(job, self._workflow),
            nodes=self._gateway.nodes(),
        )
        if fitted.capped_threads is not None:
            self._warn_once(
                f"Some rules ask for more threads than the largest node of the cluster has; they "
                f"get {fitted.capped_threads} CPU(s)."
            )
        if (reason := why_without(task)) is not None:
            self._warn_once(f"Some rules ask for helpers and get none: {reason}.")
        self._logger.debug(f"Ray: job {job.jobid} takes the {task.tier.value} tier.")
        self._tasks[job] = task
        self._dispatcher.submit(
            task,
            fitted.request,
            lambda final, result: self._verdict(job, final, result),
            lambda lost: prepared_again(lost, job, self._workflow),
        )

    def accepted(self, job: Any) -> None:
        """Write that Snakemake accepted a job."""
        merge_rounds(self._workflow.scheduler)
        result = self._results.pop(job, None)
        if result is not None and not self._settings.no_record:
            self._recording.accepted(result)

    def rejected(self, job: Any) -> None:
        """Write that Snakemake did not accept a job."""
        result = self._results.pop(job, None)
        task = self._tasks.get(job)
        if self._settings.no_record or task is None:
            return
        reason = self._reasons.pop(job, None)
        if reason is None and result is not None and result.succeeded:
            reason = "Snakemake did not accept its outputs"
        self._recording.rejected([m.id for m in task.members], reason or "failed")

    def interrupt(self) -> None:
        """End every job at once."""
        stopped = self._dispatcher.interrupt()
        self._follower.close()
        clear_stages(self._workdir, self._id)
        if self._shipping is not None:
            self._shipping.discard()
        if self._begun and not self._settings.no_record:
            for task in stopped:
                if task.shadow is not None:
                    discard(Path(task.shadow))
                ids = [member.id for member in task.members]
                self._recording.rejected(ids, "interrupted", interrupted=True)
            self._end("interrupted")
        if self._begun:
            self._ending.notify("interrupted", jobs=self._executed)

    def finish(self, *, failed: bool) -> None:
        """End the run: complete the record, stop the cluster, give MLflow a moment."""
        if self._dispatcher.under_way:  # something broke that is no job's
            self.interrupt()
            return
        self._gateway.release()
        if self._begun and not self._settings.no_record:
            self._record_others()
            self._end("failed" if failed else "succeeded")
        self._dispatcher.close()
        self._follower.close()
        clear_stages(self._workdir, self._id)
        if self._shipping is not None:
            self._shipping.discard()
        if self._begun and not self._settings.no_record:
            self._ending.wait_for_delivery()
        if self._begun:
            self._ending.notify("failed" if failed else "succeeded", jobs=self._executed)

    # -- called from the connection's thread -------------------------------------------------

    def _verdict(self, job: Any, task: Task, result: TaskResult) -> None:
        self._follower.end(task)
        with self._lock:
            self._results[job] = result
            self._tasks[job] = task
        if result.succeeded:
            self._succeeded(job)
            return
        reason = result.error or "failed"
        self._reasons[job] = reason
        lines = [reason if reason.endswith(".") else f"{reason}."]
        if task.tier is Tier.DIRECT and (place := place_of(job, self._workflow)):
            lines.append(f"In file {place}.")
        if result.hint:
            lines.append(f"Hint: {result.hint}")
        if result.tail:
            tail = inert(result.tail, lines=True).splitlines()
            lines += ["Last lines of its log:", *(f"  {line}" for line in tail)]
        logs = [task.log] if (self._workdir / task.log).exists() else []
        if job.is_group():  # Snakemake shows neither message nor log of a group
            where = f" (log: {task.log})" if logs else ""
            self._logger.error("\n".join([f"Group {job.groupid}{where}:", *lines]))
        self._failed(job, "\n".join(lines) + "\n", logs)

    # -- parts ----------------------------------------------------------------------------------

    def _announce(self, nodes: tuple[Node, ...], record: Beginning | None) -> None:
        where = self._address
        cpus = sum(node.cpus for node in nodes)
        place = f"cluster {where}" if where else "local cluster"
        line = f"Ray: {place}, {cpus:g} CPUs on {len(nodes)} node(s)"
        if self._apart:
            line += " without a shared file system"
        if self._gateway.shipped:
            line += ", whose workers get this plugin from here"
        if record is None:
            self._logger.info(f"{line}; nothing is recorded (--ray-no-record)")
        else:
            self._recording.start(record.run, record.host)
            # wrappers of local rules run below this process and find their run there
            self._parents.join(
                this_process(), leader="driver", run_id=self._id, begin=lambda _: None
            )
            start_recorder(self._workdir, record.uri, wait=False)
            uri = strip_credentials(record.uri)
            self._logger.info(f"{line}; run {self._id[:12]}, MLflow: {uri}")
        if not tested():
            self._warn_once(
                "This version of Snakemake is newer than the ones the direct tier was tested with "
                f"({', '.join(TESTED_VERSIONS)}); every job runs in a fork of Snakemake."
            )
        wide = sum(1 for _ in self._planned()) > _WIDE_DAG
        if wide and self._workflow.scheduling_settings.scheduler in ("greedy", "ilp"):
            self._warn_once(
                "Snakemake's scheduler takes quadratic time on a DAG this wide; "
                "`--scheduler firstfit` does not."
            )

    def _lock_on_first_use(self, jobs: Iterable[Any]) -> None:
        if self._settings.locks == "frozen":
            return
        files = [path for job in jobs for path in self._translator.environment_files(job)]
        for locked in lock_on_first_use(files, self._workdir):
            name = recorded_path(locked.lock, self._workdir)
            self._logger.info(f"Locks: {locked.state} {name}; commit it with your workflow.")
        forget_locks()

    def _record_others(self) -> None:
        """Write the jobs of this run that the cluster did not see."""
        dag = self._workflow.dag
        submitted = {member for job in self._tasks for member in members_of(job)}
        for job in dag.jobs:
            if (job.is_norun and not job.output) or job in submitted:
                continue
            if dag.needrun(job):
                if job.is_local and dag.finished(job):
                    self._recording.foreign(self._translator.member(job), Origin.LOCAL)
            elif job.output:
                self._recording.foreign(self._translator.member(job), Origin.REUSED)

    def _end(self, status: str) -> None:
        if not self._ended:
            self._ended = True
            self._recording.finish(status)
            self._parents.leave(this_process())

    def _snakefile(self) -> Path:
        """Return the workflow's file; of one that is elsewhere, where it would be here."""
        path = Path(self._workflow.main_snakefile)
        return path if path.is_file() else self._workdir / "Snakefile"

    def _engine(self) -> ContainerEngine:
        store = self._settings.environment_store or default_root()
        return connect(self._settings.container_engine, store)

    @property
    def _executed(self) -> int:
        """How many jobs were sent to the cluster."""
        return sum(len(members_of(job)) for job in self._tasks)

    def _planned(self) -> list[Any]:
        return list(self._workflow.dag.needrun_jobs())

    def _nodes_changed(self, nodes: tuple[Node, ...]) -> None:
        """Say what waits for a node that left."""
        for task, request in self._dispatcher.without_place(nodes):
            rules = ", ".join(sorted({member.spec.rule for member in task.members}))
            self._warn_once(
                f"No node of the cluster has what {rules} asks for any more ({spelled(request)}): "
                "such jobs wait until one joins."
            )

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._logger.warning(message)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(Path(path).absolute())
