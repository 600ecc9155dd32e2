"""A run of 200 jobs that are struck from outside, in a phase that is seen from outside.

A phase is looked for in what everybody can see: journal files, open files, processes, and a trail
that the jobs leave. What is to be killed is stopped first, so that the phase cannot pass between
the look and the kill.
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from processes import ancestors, command, descendants, kill, opened, stopped, with_environment
from runs import Workspace

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.logic.history import RunHistory, results
from snakemake_repro.records import JobRecord, JobState, JobStatus, Origin

JOBS = 200
FIRST = 194
"""Of them, those that wait for no other."""
ALL = """
rule all:
    input:
        expand("out/small/{i}", i=range(194)),
        expand("out/slow/{i}", i=range(3)),
        expand("out/big/{i}", i=range(3)),
"""
ROUND = """
rule all:
    input:
        expand("out/small/{i}", i=range(8 * config["round"], 8 * config["round"] + 8)),
        expand("out/slow/{i}", i=config.get("slow", [])),
        expand("out/big/{i}", i=config.get("big", [])),
"""
"""Other jobs in each run, so that no run does again what an earlier one did."""
RULES = """
rule small:
    output: "out/small/{i}"
    shell:
        "echo begun >> trail/small.{wildcards.i}; sleep 0.05; echo {wildcards.i} > {output};"
        "echo ended >> trail/small.{wildcards.i}"
rule slow:
    input: lambda w: f"out/small/{int(w.i) * 40}"
    output: "out/slow/{i}"
    priority: 1
    shell:
        "echo begun >> trail/slow.{wildcards.i}; sleep 2.125; echo {wildcards.i} > {output};"
        "echo ended >> trail/slow.{wildcards.i}"
rule big:
    input: lambda w: f"out/small/{int(w.i) * 40 + 20}"
    output: "out/big/{i}"
    priority: 1
    shell:
        "echo begun >> trail/big.{wildcards.i}; echo {wildcards.i} > {output};"
        "truncate -s 800M {output}; echo ended >> trail/big.{wildcards.i}"
"""
_BIG_BYTES = 800 * 1024 * 1024
_SLEEP = "sleep 2.125"


def drawn() -> random.Random:
    """Return chance from a seed that is printed, or given in REPRO_TEST_SEED to repeat a failure."""
    seed = int(os.environ.get("REPRO_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"REPRO_TEST_SEED={seed}")
    return random.Random(seed)


class Scene:
    """One directory, its run and all that may be killed of it.

    Attributes:
        driver: The process of the run that goes on.
    """

    def __init__(
        self,
        workspace: Workspace,
        mark: str,
        *,
        cluster: int | None = None,
        targets: str = ALL,
    ) -> None:
        """Write the workflow.

        Args:
            workspace: Its directory.
            mark: A variable that all processes of the run and of its cluster have.
            cluster: The process that all workers descend from, if it is not the driver.
            targets: The rule that asks for the others.
        """
        workspace.write("Snakefile", targets + RULES)
        (workspace.root / "trail").mkdir()
        self._workspace = workspace
        self._mark = mark
        self._cluster = cluster
        self.driver = 0
        self._runs = 0

    def watch(self, driver: int) -> None:
        """Turn to a run that was just started."""
        self.driver = driver
        self._runs = len(JournalStore(self._workspace.root).run_ids())

    # -- what is seen ------------------------------------------------------------------------

    @property
    def trail(self) -> collections.Counter[tuple[str, str]]:
        """How often each job began and ended."""
        return collections.Counter(
            (path.name, line)
            for path in (self._workspace.root / "trail").iterdir()
            for line in path.read_text().splitlines()
        )

    @property
    def done(self) -> int:
        """Results that are there."""
        return len(list(self._workspace.root.glob("out/*/*")))

    @property
    def gateway(self) -> int | None:
        """The gateway of the run."""
        found = descendants(self.driver, "snakemake_repro.gateway")
        return found[0] if found else None

    @property
    def workers(self) -> list[int]:
        """Workers that are busy."""
        return descendants(self._cluster or self.driver, "ray::execute")

    @property
    def recorders(self) -> list[int]:
        """The recorder of the directory."""
        found = with_environment(self._mark)
        where = str(self._workspace.root)
        return [
            p for p in found if "snakemake_repro.recorder" in command(p) and where in command(p)
        ]

    @property
    def ended(self) -> bool:
        """Whether the record says that the run is over."""
        runs = len(JournalStore(self._workspace.root).run_ids())
        return runs > self._runs and self._workspace.history.end is not None

    @property
    def left(self) -> list[str]:
        """What runs although no run goes on."""
        recorders = self.recorders
        cluster = self._cluster and [self._cluster, *descendants(self._cluster)]
        return [
            command(pid)
            for pid in with_environment(self._mark)
            if pid not in recorders and pid not in (cluster or ()) and pid != os.getpid()
        ]

    @property
    def jobs_left(self) -> list[str]:
        """Processes of jobs."""
        return [command(p) for p in with_environment("REPRO_JOB=") if self._is_ours(p)]

    def _is_ours(self, pid: int) -> bool:
        return self._mark in Path(f"/proc/{pid}/environ").read_text(errors="replace")

    # -- phases: each strikes and returns True, or finds that it is not the moment ----------------

    def strike(self, victim: int) -> bool:
        """Strike at once, unless the victim is gone."""
        with contextlib.suppress(ProcessLookupError):
            kill(victim)
            return True
        return False

    def submit(self, victim: Callable[[], int | None], pause: float = 0) -> bool:
        """Strike when a run has begun, after a pause; what it had sent is seen in its record."""
        if len(JournalStore(self._workspace.root).run_ids()) == self._runs:
            return False
        pid = victim()
        if pid is not None:
            time.sleep(pause)
            kill(pid)
        return pid is not None

    def run(self, victim: Callable[[int], int | None]) -> bool:
        """Strike while the command of a job runs.

        Args:
            victim: What is killed, told the worker of the job.
        """
        for job in with_environment(self._mark):
            if command(job).strip() != _SLEEP:
                continue
            worker = self._worker_of(job)
            pid = None if worker is None else victim(worker)
            if pid is None:
                continue
            with stopped(pid):
                if command(job).strip() == _SLEEP:
                    kill(pid)
                    return True
        return False

    def hash(self, victim: Callable[[int], int | None]) -> bool:
        """Strike while a worker reads a large output that is complete."""
        for worker in self.workers:
            if self._hashes(worker) and (pid := victim(worker)) is not None:
                with stopped(worker), stopped(pid):
                    if self._hashes(worker):
                        kill(pid)
                        return True
        return False

    def _hashes(self, worker: int) -> bool:
        big = f"{self._workspace.root}/out/big/"
        return any(
            path.startswith(big) and Path(path).stat().st_size == _BIG_BYTES
            for path in opened(worker)
        )

    def journal(
        self, victim: Callable[[], int | None], wait: Callable[..., object]
    ) -> JobRecord | None:
        """Strike when a worker has written its line and the driver does not know of it.

        Args:
            victim: The gateway or the driver: nothing passes while it is stopped.
            wait: Waits for something to be true.
        """
        pid = victim()
        if pid is None or not self.workers:
            return None
        with stopped(pid):
            known = {job.record.id for job in self._workspace.history.jobs}
            found: list[JobRecord] = []

            def new() -> bool:
                found[:] = [
                    job.record
                    for job in self._workspace.history.jobs
                    if job.record.id not in known
                    and job.record.status is JobStatus.SUCCEEDED
                    and job.state is JobState.RAN
                ]
                return bool(found) or not self.workers

            wait(new, what="a line of a worker")
            if not found:
                return None
            kill(pid)
        return found[0]

    def deliver(self) -> bool:
        """Strike the recorder while it has the tracking store open."""
        for pid in self.recorders:
            with contextlib.suppress(ProcessLookupError), stopped(pid):
                if any(path.endswith("mlflow.db") for path in opened(pid)):
                    kill(pid)
                    return True
        return False

    def _worker_of(self, job: int) -> int | None:
        """Return the worker that a job's agent serves: a pipe joins them."""
        agents = [p for p in ancestors(job) if "snakemake_repro.agent" in command(p)]
        if not agents:
            return None
        pipes = {name for name in opened(agents[0]) if name.startswith("pipe:")}
        return next((worker for worker in self.workers if opened(worker) & pipes), None)


def standing(histories: list[RunHistory]) -> dict[str, tuple[str, str]]:
    """Return path -> (digest, key of the job that made it), over all runs of a directory."""
    found = {}
    for history in histories:
        for path, (file, job) in results(history).items():
            if job.record.origin is Origin.RAY:
                found[path] = (str(file.digest), str(job.record.key))
    return found


def attempts(histories: list[RunHistory]) -> collections.Counter[str]:
    """Return how many attempts at each job are in the record, by the name of its trail."""
    return collections.Counter(
        f"{job.record.spec.rule}.{job.record.spec.wildcards['i']}"
        for history in histories
        for job in history.jobs
        if job.record.origin is Origin.RAY
    )
