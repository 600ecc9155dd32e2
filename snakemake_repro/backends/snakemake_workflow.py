"""What a workflow's rules ask for, read from the Snakefile without planning any job."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakemake_repro.errors import EnvironmentSpecError

_PLACES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
"""Where Snakemake looks, in its order."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The environments that rules ask for.

    Attributes:
        snakefile: The workflow's.
        containers: Addresses of images, in the order of the rules.
        files: Local environment files, likewise.
        computed: Rules that compute what they ask for, which only a run can know.
    """

    snakefile: Path
    containers: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    computed: tuple[str, ...] = ()


def find_snakefile(workdir: Path) -> Path | None:
    """Return the Snakefile that Snakemake finds in a directory, or ``None``."""
    return next((workdir / place for place in _PLACES if (workdir / place).is_file()), None)


def read_workflow(snakefile: Path, workdir: Path) -> Asked:
    """Read what the rules of a workflow ask for.

    Args:
        snakefile: The workflow's.
        workdir: Working directory of its runs.

    Raises:
        EnvironmentSpecError: Snakemake cannot read the workflow as it is.
    """
    try:
        with contextlib.chdir(workdir), _loaded(snakefile) as workflow:
            rules = list(workflow.rules)
            return Asked(
                snakefile=snakefile,
                containers=tuple(dict.fromkeys(filter(None, map(_container, rules)))),
                files=tuple(dict.fromkeys(filter(None, map(_file, rules)))),
                computed=tuple(rule.name for rule in rules if _computes(rule)),
            )
    except (Exception, SystemExit) as exc:  # a Snakefile is a program: anything may happen
        problem = " ".join(str(exc).split()) or type(exc).__name__
        raise EnvironmentSpecError(
            f"the workflow {snakefile} cannot be read: {problem}",
            hint="`snakemake --list-rules` must work here without further options; what it needs "
            "beside that, such as --configfile, belongs into the Snakefile.",
        ) from exc


@contextlib.contextmanager
def _loaded(snakefile: Path) -> Iterator[Any]:
    """Let Snakemake read a workflow, and remove what it keeps for that."""
    import snakemake.api  # before the module `workflow`, which imports it, and is imported by it
    from snakemake.settings.types import (
        ConfigSettings,
        DeploymentSettings,
        GroupSettings,
        OutputSettings,
        ResourceSettings,
        StorageSettings,
        WorkflowSettings,
    )

    workflow = snakemake.api.Workflow(
        config_settings=ConfigSettings(),
        resource_settings=ResourceSettings(),
        workflow_settings=WorkflowSettings(),
        logger_manager=None,
        storage_settings=StorageSettings(),
        deployment_settings=DeploymentSettings(),
        output_settings=OutputSettings(),
        group_settings=GroupSettings(),
        storage_provider_settings={},
        check_envvars=False,
    )
    try:
        workflow.include(snakefile.absolute(), overwrite_default_target=True)
        yield workflow
    finally:
        workflow._snakemake_tmp_dir.cleanup()  # noqa: SLF001 - else it says that nobody did
        if workflow.sourcecache.runtime_cache is not None:
            workflow.sourcecache.runtime_cache.cleanup()


def _container(rule: Any) -> str | None:
    image = rule.container_img
    return image if isinstance(image, str) and image and "{" not in image else None


def _file(rule: Any) -> Path | None:
    from snakemake.deployment.conda import CondaEnvFileSpec

    if rule.conda_env is None or callable(rule.conda_env) or "{" in str(rule.conda_env):
        return None
    spec = rule.expand_conda_env({})
    if not isinstance(spec, CondaEnvFileSpec) or not spec.file.is_local:
        return None
    path = Path(spec.file.get_path_or_uri(secret_free=True))
    return path if path.is_file() else None  # a wrapper need not have one


def _computes(rule: Any) -> bool:
    return any(
        callable(asked) or (isinstance(asked, str) and "{" in asked)
        for asked in (rule.container_img, rule.conda_env)
    )
