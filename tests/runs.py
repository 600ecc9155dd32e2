"""Run Snakemake as a user does, in a directory of its own, and read what it recorded."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from clusters import RunningCluster

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.logic.history import JobHistory, RunHistory

SNAKEMAKE = (sys.executable, "-m", "snakemake")
REPRO = (sys.executable, "-m", "snakemake_repro.cli")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done:
    """A finished Snakemake process."""

    status: int
    output: str
    seconds: float


class Workspace:
    """A working directory with a Snakefile."""

    def __init__(
        self,
        root: Path,
        cluster: RunningCluster | None = None,
        tracking_uri: str | None = None,
    ) -> None:
        """Take a directory that exists.

        Args:
            root: The directory.
            cluster: What its runs join; without it they start one of their own.
            tracking_uri: Of a store that the test does not look at, or not before `repro sync`:
                the recorder's import of MLflow costs seconds. ``None`` for one of its own.
        """
        self.root = root
        self._address = None if cluster is None else cluster.address
        self.environ: dict[str, str] = {
            **os.environ,
            "MLFLOW_TRACKING_URI": tracking_uri or f"sqlite:///{root}/mlflow.db",
            **({"REPRO_DELIVERY": "later"} if tracking_uri else {}),
            "PYTHONWARNINGS": "",
            **({} if cluster is None else cluster.environ),
        }

    def write(self, name: str, text: str, *, executable: bool = False) -> Path:
        """Write a file below the directory, dedented."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        if executable:
            path.chmod(0o755)
        return path

    def command(self, *args: str, executor: str = "ray") -> list[str]:
        """Return the command line of a run."""
        command = [*SNAKEMAKE, "--nocolor", "--latency-wait", "2"]
        if executor == "ray":
            command += ["--executor", "ray", "--jobs", "20", "--scheduler", "firstfit"]
            command += ["--ray-delivery-wait", "0"]
            command += ["--ray-address", self._address] if self._address else []
        else:
            command += ["--cores", "2"]
        return [*command, *args]

    def start(
        self,
        *args: str,
        executor: str = "ray",
        env: Mapping[str, str] | None = None,
        through: Callable[[list[str]], list[str]] = list,
    ) -> subprocess.Popen[str]:
        """Start a run in a session of its own; the caller ends it.

        Args:
            args: Of the command line.
            executor: ``ray`` or ``local``.
            env: Variables beside the workspace's.
            through: Makes the command another one that starts it.
        """
        return subprocess.Popen(
            through(self.command(*args, executor=executor)),
            cwd=self.root,
            env={**self.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        *args: str,
        executor: str = "ray",
        env: Mapping[str, str] | None = None,
        timeout: float = 480,
        through: Callable[[list[str]], list[str]] = list,
    ) -> Done:
        """Run to the end."""
        started = time.monotonic()
        with self.start(*args, executor=executor, env=env, through=through) as process:
            try:
                output, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                output, _ = process.communicate()
                raise AssertionError(f"still running after {timeout} s:\n{output}") from None
        return Done(status=process.returncode, output=output, seconds=time.monotonic() - started)

    def ok(self, *args: str, executor: str = "ray", env: Mapping[str, str] | None = None) -> Done:
        """Run to the end and expect success."""
        done = self.run(*args, executor=executor, env=env)
        assert done.status == 0, done.output
        return done

    def fails(
        self, *args: str, executor: str = "ray", env: Mapping[str, str] | None = None
    ) -> Done:
        """Run to the end and expect one clear failure without a traceback."""
        done = self.run(*args, executor=executor, env=env)
        assert done.status != 0, done.output
        assert "Traceback" not in done.output, done.output
        return done

    def repro(self, *args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the ``repro`` command here and expect an exit status."""
        done = subprocess.run(
            [*REPRO, *args], cwd=self.root, env=self.environ, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == status, (done.stdout, done.stderr)
        return done

    def histories(self) -> list[RunHistory]:
        """Return all recorded runs, oldest first."""
        store = JournalStore(self.root)
        return [store.load(run_id) for run_id in store.run_ids()]

    @property
    def history(self) -> RunHistory:
        """The last recorded run."""
        return self.histories()[-1]

    def jobs(self, rule: str) -> list[JobHistory]:
        """Return the last run's attempts at a rule."""
        return [job for job in self.history.jobs if job.record.spec.rule == rule]

    def job(self, rule: str) -> JobHistory:
        """Return the last run's only attempt at a rule."""
        [job] = self.jobs(rule)
        return job
