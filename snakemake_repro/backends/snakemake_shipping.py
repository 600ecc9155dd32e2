"""What travels with Snakemake's jobs where driver and nodes share no file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import snakemake_repro
from snakemake_repro.backends.parcels import pack
from snakemake_repro.backends.snakemake_values import flags_of
from snakemake_repro.errors import StorageError, UsageError
from snakemake_repro.logic.relocation import OUTSIDE
from snakemake_repro.records.tasks import Shipment

_LARGEST_SOURCE = 10_000_000
"""Bytes; what is larger is data, and an input of the rules that read it (Snakemake's own limit)."""

_PACKAGE = Path(snakemake_repro.__file__).parent


def shares_files(workflow: Any) -> bool:
    """Tell whether the user says that driver and nodes share a file system.

    Environments are made on each node in any case.
    """
    from snakemake.settings.types import SharedFSUsage

    needed = SharedFSUsage.all() - {SharedFSUsage.SOFTWARE_DEPLOYMENT}
    return bool(needed <= set(workflow.storage_settings.shared_fs_usage))


def assume_shared_files(workflow: Any) -> None:
    """Let Snakemake do on the driver what it does with a shared file system.

    All that jobs make is brought to the driver, where Snakemake checks it and touches it.
    """
    from snakemake.settings.types import SharedFSUsage

    workflow.storage_settings.shared_fs_usage = SharedFSUsage.all()


class Shipping:
    """The sources of a workflow, packed once, and the files of its jobs."""

    def __init__(self, workflow: Any, workdir: Path, archive: Path) -> None:
        """Write the archive of the sources.

        Args:
            workflow: Snakemake's, with its graph of jobs.
            workdir: Its working directory.
            archive: Where to.

        Raises:
            StorageError: A source cannot be read, or the archive not be written.
            UsageError: It cannot be told which of two files configures the workflow.
        """
        self._workdir = workdir
        self._archive = archive
        files = dict(_sources(workflow, workdir))
        outside = {path.parent for name, path in files.items() if name.startswith(OUTSIDE)}
        self._outside = tuple(sorted(map(str, outside)))
        try:
            archive.parent.mkdir(parents=True, exist_ok=True)
            with archive.open("wb") as file:
                file.writelines(pack(files))
        except OSError as exc:
            raise StorageError(
                f"cannot write {archive}: {exc.strerror or exc}",
                hint="It holds the sources of the workflow for the nodes.",
            ) from exc

    def shipment(self, members: list[Any]) -> Shipment:
        """Return what travels with a job, or with those of a group.

        Raises:
            UsageError: A file lies outside the working directory.
        """
        made = {str(file) for member in members for file in member.output}
        inputs = {str(file) for member in members for file in member.input} - made
        updated = (f for member in members for f in member.output if "update" in flags_of(f))
        inputs |= {str(file) for file in updated if (self._workdir / file).exists()}
        logs = {str(file) for member in members for file in member.log}
        logs |= {str(member.benchmark) for member in members if member.benchmark}
        name = members[0].rule.name
        return Shipment(
            base=str(self._workdir),
            package=str(_PACKAGE),
            sources=str(self._archive),
            outside=self._outside,
            inputs=tuple(self._below(name, inputs)),
            outputs=tuple(self._below(name, made)),
            logs=tuple(self._below(name, logs)),
        )

    def discard(self) -> None:
        """Remove the archive."""
        self._archive.unlink(missing_ok=True)

    def _below(self, rule: str, paths: set[str]) -> Iterator[str]:
        """Yield paths as they are relative to the working directory."""
        for path in sorted(paths):
            whole = os.path.normpath(self._workdir / path)
            if not whole.startswith(f"{self._workdir}/"):
                raise UsageError(
                    f"rule {rule} names {path}, which is not below the working directory "
                    f"{self._workdir}: without a shared file system only what is below it travels",
                    hint="Name it by a link below the working directory, or through a storage.",
                )
            yield os.path.relpath(whole, self._workdir)


def _sources(workflow: Any, workdir: Path) -> Iterator[tuple[str, Path]]:
    """Yield name in the archive and path of what jobs may need beside their inputs."""
    yield from _configuration(workflow, workdir)
    found = {Path(os.path.normpath(workdir / name)) for name in workflow.dag.get_sources()}
    for rule in workflow.rules:
        if rule.wrapper is not None and str(rule.wrapper).startswith("file://"):
            found.update(Path(str(rule.wrapper).removeprefix("file://")).glob("*"))
    # modules beside a Snakefile can be imported by it
    for folder in {path.parent for path in found if path.suffix in ("", ".smk")}:
        found.update(folder.glob("*.py"))
    for path in sorted(found):
        if path.is_relative_to(_PACKAGE) or not path.is_file():
            continue
        if path.stat().st_size > _LARGEST_SOURCE:
            continue
        below = path.is_relative_to(workdir)
        yield (path.relative_to(workdir).as_posix() if below else f"{OUTSIDE}{path}"), path


def _configuration(workflow: Any, workdir: Path) -> Iterator[tuple[str, Path]]:
    """Yield the configuration files that were read where Snakemake was started.

    ``workdir:`` leads elsewhere afterwards. A job has one directory, where their names fit as well.
    """
    start = Path(workflow.workdir_init)
    if start == workdir:
        return
    for name in map(os.path.normpath, workflow.configfiles):
        before, after = start / name, workdir / name
        if name.startswith(("/", "..")) or not before.is_file():
            continue
        if after.is_file() and after.read_bytes() != before.read_bytes():
            raise UsageError(
                f"configfile {name} may be {before} or {after}, which differ: without a shared "
                "file system it cannot be told which of them jobs are to read",
                hint="Give one of them another name.",
            )
        yield name, before
