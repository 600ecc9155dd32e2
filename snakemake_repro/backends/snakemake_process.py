"""A Snakemake process seen from outside -> the record of its run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.backends.files import hash_file, recorded_path
from snakemake_repro.backends.git import git_state
from snakemake_repro.backends.parents import Process
from snakemake_repro.backends.snakemake_run import config_digest, login, run_name, versions
from snakemake_repro.logic import plain
from snakemake_repro.logic.redaction import Redactor, strip_credentials
from snakemake_repro.records import Source, WorkflowRun

_DEFAULT_SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
_ENVVARS = re.compile(
    r"^envvars\s*:((?:[^\S\n]*(?:[\"'][^\"'\n]*[\"']|,|#[^\n]*|\n))*)", re.MULTILINE
)
_COMMENT = re.compile(r"#[^\n]*")
_QUOTED = re.compile(r"[\"']([^\"'\n]+)[\"']")
_BLIND_TO = (
    "recorded by the jobs themselves: jobs without a wrapper or track() are not in this record",
    "what Snakemake made of the jobs' outputs was not seen",
    "targets, modules and the number of planned jobs were not seen",
)
_OF_A_SCRIPT = ("recorded by a script outside of Snakemake: its files were not seen",)


def describe_process(
    process: Process | None,
    *,
    run_id: str,
    started: str,
    workdir: Path,
    host: str,
    redact: Redactor,
    config: Mapping[str, Any] | None,
    script: Path | None,
    experiment: str | None,
    tracking_uri: str | None,
) -> WorkflowRun:
    """Describe a run as one of its jobs can see it.

    Args:
        process: The Snakemake process; ``None`` for a script outside of Snakemake.
        run_id: The run.
        started: UTC.
        workdir: Working directory of the run.
        host: Identifier of this host.
        redact: Removes secrets.
        config: The workflow's configuration, if known.
        script: The script that runs.
        experiment: MLflow experiment.
        tracking_uri: MLflow tracking URI.
    """
    command = () if process is None else process.command
    snakefile = None if process is None else find_snakefile(command, workdir)
    plain_config = None if config is None else plain.describe(dict(config))
    sources = (_source(snakefile, script, workdir, redact),)
    return WorkflowRun(
        id=run_id,
        name=run_name(sources, workdir),
        started=started,
        command=tuple(redact.text(strip_credentials(word)) for word in command),
        snakefile=None if snakefile is None else recorded_path(snakefile, workdir),
        executor=None if process is None else find_executor(command),
        config={} if plain_config is None else redact.json(plain_config),
        config_digest=None if plain_config is None else config_digest(plain_config),
        sources=sources,
        versions=versions(),
        user=login(),
        host=host,
        experiment=experiment,
        tracking_uri=None if tracking_uri is None else strip_credentials(tracking_uri),
        completeness=_OF_A_SCRIPT if process is None else _BLIND_TO,
    )


def find_snakefile(command: Sequence[str], workdir: Path) -> Path | None:
    """Return the Snakefile that a command line means, as far as it can be told."""
    named = next(_values(command, "--snakefile", "-s"), None)
    if named is not None:
        path = workdir / named
        return path if path.is_file() else None
    candidates = (workdir / name for name in _DEFAULT_SNAKEFILES)
    return next((path for path in candidates if path.is_file()), None)


def declared_variables(command: Sequence[str], workdir: Path) -> frozenset[str]:
    """Return the environment variables that a workflow declares, read from its text.

    ``envvars:`` in the Snakefile and in the rule files beside it, and ``--envvars`` on the command
    line. A name that only running the Snakefile would yield is not found.
    """
    names: set[str] = set()
    options = iter(command)
    for word in options:
        if word == "--envvars":
            names.update(itertools.takewhile(lambda word: not word.startswith("-"), options))
    snakefile = find_snakefile(command, workdir)
    if snakefile is not None:
        for path in (snakefile, *sorted(snakefile.parent.glob("rules/*.smk"))):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            for block in _ENVVARS.findall(text):
                names.update(_QUOTED.findall(_COMMENT.sub("", block)))
    return frozenset(names)


def find_executor(command: Sequence[str]) -> str:
    """Return the executor that a command line names; a profile may have named another one."""
    named = next(_values(command, "--executor", "-e"), None)
    if named is not None:
        return named
    local = any(word.startswith(("--cores", "-c")) for word in command)
    profiles = any(word.startswith(("--profile", "--workflow-profile")) for word in command)
    return "local" if local and not profiles else "unknown"


def _values(command: Sequence[str], *options: str) -> Iterator[str]:
    for word, following in zip(command, (*command[1:], ""), strict=True):
        if word in options and following:
            yield following
        for option in options:
            long = option.startswith("--")
            if long and word.startswith(f"{option}="):
                yield word.removeprefix(f"{option}=")
            elif not long and len(word) > len(option) and word.startswith(option):
                yield word.removeprefix(option).removeprefix("=")


def _source(snakefile: Path | None, script: Path | None, workdir: Path, redact: Redactor) -> Source:
    used = [path for path in (snakefile, script) if path is not None and path.is_file()]
    main = used[0] if used else workdir
    directory = main.parent if used else workdir
    return Source(
        uri=recorded_path(main, workdir),
        role="workflow",
        git=git_state(directory, used=used, redact=redact.text),
        digest=hash_file(main)[0] if used else None,
    )
