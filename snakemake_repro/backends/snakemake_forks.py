"""Snakemake in a fork, made to run the commands of each job inside the job's environment.

Snakemake has one place where a command of a job is turned into one that runs elsewhere: that of
its containers. It is used for shell commands, scripts, wrappers, notebooks and the ``shell()`` of
``run:`` alike, knows of shadow directories, and takes interpreters from where the command runs. A
fork tells Snakemake that each job with an environment has such a container, and puts our own
command in the place of Apptainer's (decision 12).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import json
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.containers import parse_usage
from snakemake_repro.records.tasks import Inside

_MIB = 1024 * 1024
_PERCENT = 100
_IMAGE, _USED = "container_img", "use_singularity"
_SHELLCMD = {"cmd", "bind", "shell_executable", "container_workdir"}


class _Place(str):
    """The environment of one running job; as text its name, for Snakemake's messages.

    Attributes:
        usages: Files with what the containers of the job counted.
    """

    __slots__ = ("inside", "usages")
    inside: Inside
    usages: list[Path]

    @classmethod
    def of(cls, inside: Inside) -> _Place:
        place = cls(inside.name)
        place.inside, place.usages = inside, []
        return place


class Surroundings:
    """The environments of a fork's jobs."""

    def __init__(self, jobs: Sequence[Inside], scratch: Path) -> None:
        """Remember them.

        Args:
            jobs: All that may run.
            scratch: The fork's own directory, for what containers counted.
        """
        self._jobs = {_name(job.rule, job.wildcards): job for job in jobs}
        self._scratch = scratch
        self._numbers = itertools.count()
        self._here = threading.local()

    @classmethod
    def read(cls, path: Path) -> Surroundings:
        """Read what a worker wrote for its fork; the directory of the file is the fork's."""
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls([Inside.from_dict(item) for item in found], path.parent)

    def install(self) -> None:
        """Change Snakemake in this process, once and for all.

        Raises:
            EnvironmentSpecError: This version of Snakemake is built differently.
        """
        check_seams()
        import snakemake.benchmark
        import snakemake.caching.hash
        import snakemake.executors.local
        from snakemake.deployment import singularity

        local = snakemake.executors.local
        local.Executor.job_args_and_prepare = self._with_place(local.Executor.job_args_and_prepare)
        local.Executor.run_single_job = self._in_thread(local.Executor.run_single_job)
        local.Executor.run_group_job = _ended_together(local.Executor.run_group_job)
        local.run_wrapper = self._remembering(local.run_wrapper)
        singularity.shellcmd = self._command
        singularity.get_snakemake_searchpath_mountpoints = self._search_path
        snakemake.benchmark.benchmarked = self._measured(snakemake.benchmark.benchmarked)
        hashes = snakemake.caching.hash.ProvenanceHashMap
        hashes._get_provenance_hash = self._cached(hashes._get_provenance_hash)  # noqa: SLF001

    def of(self, job: Any) -> Inside | None:
        """Return where a job runs if that is elsewhere than here.

        Raises:
            WorkflowError: It is none of those that may run.
        """
        found = self._jobs.get(_name(job.rule.name, job.wildcards))
        if found is None:
            from snakemake.exceptions import WorkflowError

            raise WorkflowError(f"nobody said in which environment {job} is to run")
        return None if found.host else found

    def _with_place(self, original: Callable[..., Any]) -> Callable[..., Any]:
        names = list(_parameters())

        def job_args_and_prepare(executor: Any, job: Any) -> Any:
            arguments = dict(zip(names, original(executor, job), strict=True))
            inside = self.of(job)
            if inside is not None:
                arguments |= {_IMAGE: _Place.of(inside), _USED: True}
            return tuple(arguments.values())

        return job_args_and_prepare

    def _in_thread(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Keep jobs here that Snakemake would start another Snakemake for, which knows nothing."""
        from snakemake.executors import local

        def run_single_job(executor: Any, job: Any) -> Any:
            if self.of(job) is None:
                return original(executor, job)
            arguments = executor.job_args_and_prepare(job)
            return executor.pool.submit(executor.cached_or_run, job, local.run_wrapper, *arguments)

        return run_single_job

    def _remembering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        position = list(_parameters()).index(_IMAGE)

        @functools.wraps(original)
        def run_wrapper(*arguments: Any) -> Any:
            place = arguments[position]
            self._here.place = place if isinstance(place, _Place) else None
            return original(*arguments)

        return run_wrapper

    def _search_path(self) -> list[str]:
        return [self._here.place.inside.search_path]

    def _command(
        self,
        place: _Place,
        cmd: str,
        *,
        bind: Sequence[Path] | None = None,
        shell_executable: str | None = None,
        container_workdir: str | None = None,
        **_: Any,
    ) -> str:
        """Return the command for this machine's shell that runs a command inside."""
        inside = place.inside
        directory = str(Path.cwd() / (container_workdir or ""))
        shell = shell_executable or "sh"
        if not inside.program:
            sets = [f"{name}={value}" for name, value in inside.sets.items()]
            unsets = [option for name in inside.unsets for option in ("-u", name)]
            return f"cd {shlex.quote(directory)} && exec " + shlex.join(
                ["env", *unsets, *sets, shell, "-c", cmd]
            )
        # Snakemake starts long commands by the path of the shell, which is this machine's
        if cmd.startswith(f'"{shell}" "'):
            cmd = cmd.replace(shell, Path(shell).name, 1)
        usage = self._scratch / f"usage-{next(self._numbers)}"
        place.usages.append(usage)
        shown = [str(path.absolute()) for path in bind or () if path.exists()]
        words = [*inside.program, str(usage), directory, Path(shell).name, cmd, *shown]
        return f"exec {shlex.join(words)}"

    def _measured(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Let a benchmark show what containers used, not what waits for them."""

        @contextlib.contextmanager
        def benchmarked(
            pid: Any = None, benchmark_record: Any = None, *args: Any, **kwargs: Any
        ) -> Iterator[Any]:
            place = getattr(self._here, "place", None)
            usages = [] if place is None else place.usages
            # of a command the container is known by now; those of `run:` are still to come
            before = len(usages) - (1 if pid else 0)
            with original(pid, benchmark_record, *args, **kwargs) as record:
                yield record
            if counted := [parse_usage(_text(path)) for path in usages[max(before, 0) :]]:
                put_figures(
                    record,
                    cpu_s=sum(usage.user_s + usage.system_s for usage in counted),
                    peak_mb=max(usage.peak for usage in counted) / _MIB,
                )

        return benchmarked

    def _cached(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Let the between-workflow cache tell results of different environments apart."""

        async def _get_provenance_hash(hashes: Any, job: Any) -> str:
            import hashlib

            known = job in hashes._hashes  # noqa: SLF001
            found: str = await original(hashes, job)
            inside = self.of(job)
            omitted = job.rule.cache and job.rule.cache.omit_software
            if known or inside is None or omitted:
                return found
            text = f"{found}\0{inside.digest}".encode()
            hashes._hashes[job] = hashlib.sha256(text).hexdigest()  # noqa: SLF001
            return str(hashes._hashes[job])  # noqa: SLF001

        return _get_provenance_hash


def _ended_together(original: Callable[..., Any]) -> Callable[..., Any]:
    """End the services of a group that fails before its other jobs start, too.

    A service in a container takes a while to begin. Snakemake gives up waiting for it, and would
    then wait for its end.
    """

    def run_group_job(executor: Any, job: Any) -> None:
        from snakemake.shell import shell

        try:
            original(executor, job)
        except Exception:
            for member in job:
                shell.kill(member.jobid)
            raise

    return run_group_job


def put_figures(record: Any, *, cpu_s: float, peak_mb: float) -> None:
    """Put the figures of containers into Snakemake's record of a benchmark.

    What a cgroup does not know (virtual, unique and proportional memory, input and output) is
    ``-`` there, as Snakemake writes what is not known.
    """
    record.data_collected = True
    record.max_rss = peak_mb
    record.max_vms = record.max_uss = record.max_pss = record.io_in = record.io_out = None
    record.cpu_time = cpu_s
    record.cpu_usage = cpu_s * _PERCENT


def check_seams() -> None:
    """Make sure that Snakemake is built as this module knows it.

    Raises:
        EnvironmentSpecError: It is not.
    """
    from snakemake.common import __version__
    from snakemake.deployment import singularity

    found = inspect.signature(singularity.shellcmd).parameters
    if not {_IMAGE, _USED} <= set(_parameters()) or not found.keys() >= _SHELLCMD:
        raise EnvironmentSpecError(
            f"Snakemake {__version__} runs commands in containers in a way that this version does "
            "not know, so that rules of the fork tier cannot run in environments",
            hint="Use a tested version of Snakemake, or run on the host with "
            "`--ray-environments host` (recorded as unpinned).",
        )


def check_forkable(job: Any) -> None:
    """Make sure that a fork can run a job's commands in an environment, if it comes to one.

    Raises:
        EnvironmentSpecError: It cannot.
    """
    check_seams()
    if job.is_cwl:
        raise EnvironmentSpecError(
            f"rule {job.rule.name} asks for an environment and for `cwl:`, whose tools are "
            "started by cwltool, which brings containers of its own",
            hint="Leave `container:` and `conda:` away there, or use `--ray-environments host`.",
        )


def _parameters() -> Sequence[str]:
    import snakemake.executors.local

    return list(inspect.signature(snakemake.executors.local.run_wrapper).parameters)


def _name(rule: str, wildcards: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    return rule, tuple(sorted((name, str(value)) for name, value in wildcards.items()))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
