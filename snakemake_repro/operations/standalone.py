"""Record jobs that our executor does not run: from inside the job, with what is known there.

A wrapper under ``snakemake --cores 2`` records itself. All wrappers below one Snakemake process
belong to one run, which the first of them begins; nobody sees that run end, so that it is ended
when somebody finds its Snakemake gone. Under the logger plugin the run is the plugin's.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.backends.clock import SystemClock
from snakemake_repro.backends.host import host_id
from snakemake_repro.backends.journal import FileJournal
from snakemake_repro.backends.parents import Parents, Process, snakemake_above, this_process
from snakemake_repro.backends.snakemake_process import declared_variables, describe_process
from snakemake_repro.backends.snakemake_script import Script, resources_of, spec_of
from snakemake_repro.logic.redaction import Redactor, guess_secrets
from snakemake_repro.operations.abandoned import end_abandoned_runs
from snakemake_repro.operations.attempt import WRITER, Attempt
from snakemake_repro.operations.sync import recorded_uri, resolve_tracking_uri
from snakemake_repro.records import JobSpec, RunStarted

_clock = SystemClock()


def begin(snakemake: Any, script_names: Mapping[str, Any]) -> Attempt:
    """Begin to record the calling process's job, and its run if nobody else has.

    Args:
        snakemake: The object of that name in a script or wrapper; ``None`` outside of Snakemake.
        script_names: ``__file__`` and ``__real_file__`` of the module that runs.

    Raises:
        ReproError: The record cannot be begun.
    """
    script = Script.of(script_names)
    process = snakemake_above(likely=snakemake is not None)
    workdir = (None if process is None else process.cwd) or Path.cwd()
    redact = Redactor(_secrets(process, workdir))
    # a shadow rule runs elsewhere, where links lead to its inputs; a script may have gone elsewhere
    root = Path.cwd() if Path.cwd().parent.name == "shadow" else workdir
    tracking_uri = resolve_tracking_uri(None, os.environ, workdir)
    if snakemake is None:
        name = "interactive" if script.path is None else script.path.stem
        spec = JobSpec(rule=name, kind="script", code=script.code, source_name=script.name)
    else:
        spec = spec_of(snakemake, script, root=root, redact=redact)

    def write_beginning(run_id: str) -> None:
        run = describe_process(
            process,
            run_id=run_id,
            started=_clock.now(),
            workdir=workdir,
            host=host_id(),
            redact=redact,
            config=None if snakemake is None else snakemake.config,
            script=script.path,
            experiment=os.environ.get("MLFLOW_EXPERIMENT_NAME"),
            tracking_uri=recorded_uri(tracking_uri, workdir),
        )
        journal = FileJournal(workdir, run_id, WRITER)
        try:
            journal.append(RunStarted(run_id=run_id, at=run.started, run=run))
        finally:
            journal.close()

    end_abandoned_runs(workdir)
    alone = process is None and snakemake is None
    if alone:
        run_id = uuid.uuid4().hex
        write_beginning(run_id)
    else:
        parents = Parents(workdir, host_id())
        parent = parents.join(process or this_process(), leader=WRITER, begin=write_beginning)
        run_id = parent.run_id
    return Attempt(
        run_id=run_id,
        workdir=workdir,
        root=root,
        spec=spec,
        resources={} if snakemake is None else resources_of(snakemake),
        redact=redact,
        tracking_uri=tracking_uri,
        alone=alone,
    )


def _secrets(process: Process | None, workdir: Path) -> dict[str, str]:
    """Return what must not be recorded: what the workflow declares, and what looks like it."""
    declared = () if process is None else declared_variables(process.command, workdir)
    found = {name: os.environ[name] for name in declared if name in os.environ}
    return {**guess_secrets(os.environ), **found}
