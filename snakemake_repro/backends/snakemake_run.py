"""Snakemake's workflow -> the record of a run."""

from __future__ import annotations

import getpass
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import snakemake_repro
from snakemake_repro.backends.files import hash_file
from snakemake_repro.backends.git import git_state
from snakemake_repro.backends.python_modules import project_modules
from snakemake_repro.logic import plain
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.redaction import Redactor, strip_credentials, without_receiver
from snakemake_repro.logic.repeats import REPEAT_OF
from snakemake_repro.records import Digest, Json, Source, WorkflowRun

_CACHE = "SNAKEMAKE_OUTPUT_CACHE"
_PACKAGES = ("snakemake", "ray", "mlflow-skinny", "mlflow")


def describe_run(
    workflow: Any,
    *,
    run_id: str,
    started: str,
    workdir: Path,
    host: str,
    redact: Redactor,
    executor: str,
    experiment: str | None,
    tracking_uri: str | None,
    mlflow_runs: str,
) -> WorkflowRun:
    """Describe an invocation of Snakemake as it starts."""
    config = plain.describe(dict(workflow.config))
    snakefile = Path(workflow.main_snakefile)
    sources = tuple(_sources(workflow, workdir, redact.text))
    return WorkflowRun(
        id=run_id,
        name=run_name(sources, workdir),
        started=started,
        command=tuple(redact.text(strip_credentials(word)) for word in without_receiver(sys.argv)),
        snakefile=_relative(snakefile, workdir),
        executor=executor,
        targets=tuple(str(target) for target in workflow.dag_settings.targets or ()),
        config=redact.json(config),
        config_digest=config_digest(config),
        sources=sources,
        versions=versions(),
        user=login(),
        host=host,
        experiment=experiment,
        tracking_uri=None if tracking_uri is None else strip_credentials(tracking_uri),
        mlflow_runs=mlflow_runs,
        job_count=sum(1 for _ in workflow.dag.jobs),
        repeat_of=os.environ.get(REPEAT_OF),
    )


def config_digest(config: Mapping[str, Json]) -> Digest:
    """Return the identity of a workflow's configuration, given as plain JSON."""
    return digest_of("Config/1", config)


def secrets_of(workflow: Any) -> dict[str, str]:
    """Return variables that must not be recorded, with values.

    They are the environment variables that the workflow or the user declares, and those by which
    Snakemake hands on the credentials of storages.
    """
    settings = workflow.remote_execution_settings
    declared = {*workflow.envvars, *(settings.envvars if settings else ())}
    items = workflow.spawned_job_args_factory._get_storage_provider_setting_items()  # noqa: SLF001
    # as Snakemake spells them; what nobody gave has its default, also where no storage is used
    credentials = {
        plugin.get_envvar(field.name): " ".join(map(str, values))
        for plugin, field, values in items
        if field.metadata.get("env_var")
        and not set(map(str, values)) <= {"None", str(field.default)}
    }
    found = {name: os.environ[name] for name in sorted(declared) if name in os.environ}
    return {**found, **credentials}


def variables_of(workflow: Any) -> dict[str, str]:
    """Return what jobs get from the driver's variables: the declared ones, and Snakemake's own."""
    found = secrets_of(workflow)
    if workflow.workflow_settings.cache is not None and _CACHE in os.environ:
        found[_CACHE] = os.environ[_CACHE]
    return found


def _sources(workflow: Any, workdir: Path, redact: Callable[[str], str]) -> Iterator[Source]:
    """Yield the main source first, then modules and includes from elsewhere."""
    main = Path(workflow.main_snakefile)
    included = list(workflow.included)
    local = [Path(_path(source)) for source in included if _is_local(source)]
    used = [path for path in (*local, *_code_files(workflow)) if path.exists()]
    state = git_state(main.parent, used=used, redact=redact)
    yield Source(
        uri=_relative(main, workdir), role="workflow", git=state, digest=_digest(workflow, main)
    )
    seen = {main.resolve()}
    for source in included:
        if not _is_local(source):
            yield Source(
                uri=strip_credentials(str(source)), role="module", digest=_digest(workflow, source)
            )
            continue
        path = Path(_path(source))
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        other = git_state(path.parent, used=[path], redact=redact) if path.exists() else None
        same = other is not None and state is not None and other.commit == state.commit
        yield Source(
            uri=_relative(path, workdir),
            role="workflow" if same or other is None else "module",
            git=None if same else other,
            digest=_digest(workflow, path),
        )


def _code_files(workflow: Any) -> Iterator[Path]:
    """Yield the local scripts, their modules, notebooks and configuration files of the workflow.

    Names with wildcards or parameters are known per job only and left out.
    """
    for rule in workflow.rules:
        for name in (rule.script, rule.notebook):
            if isinstance(name, str | Path) and "{" not in str(name) and rule.basedir.is_local:
                base = rule.basedir.get_path_or_uri(secret_free=True)
                path = Path(base, str(name).removeprefix("file://"))
                yield path
                yield from project_modules(path, path.parent).values()
    yield from (Path(str(name)) for name in workflow.configfiles)


def _digest(workflow: Any, source: Any) -> Digest | None:
    path = source if isinstance(source, Path) else Path(workflow.sourcecache.get_path(source))
    return hash_file(path)[0] if path.is_file() else None


def _is_local(source: Any) -> bool:
    return isinstance(source, str | Path) or bool(source.is_local)


def _path(source: Any) -> str:
    if isinstance(source, str | Path):
        return str(source)
    return str(source.get_path_or_uri(secret_free=True))


def run_name(sources: tuple[Source, ...], workdir: Path) -> str:
    """Return the repository's name, or the working directory's outside of git."""
    state = sources[0].git
    if state is not None and state.url:
        place = os.path.normpath(state.url.replace(":", "/"))  # a clone of "." ends so
        tail = place.rpartition("/")[2].removesuffix(".git")
        if tail not in ("", "."):
            return tail
    return workdir.name or "workflow"


def _relative(path: Path, workdir: Path) -> str:
    try:
        return path.resolve().relative_to(workdir.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def versions() -> dict[str, str]:
    """Return the versions of what executes a run."""
    found = {
        "python": platform.python_version(),
        "snakemake-executor-plugin-ray": snakemake_repro.__version__,
    }
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def login() -> str | None:
    """Return the login name; ``None`` without an entry for this uid, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
