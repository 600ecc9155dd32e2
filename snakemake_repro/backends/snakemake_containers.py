"""What Snakemake's jobs say of containers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from snakemake_repro.backends.snakemake_values import members_of
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.plain import NotPlainError
from snakemake_repro.logic.resources import gpus_of, memory_of
from snakemake_repro.records import EnvironmentKind
from snakemake_repro.records.tasks import ContainerRequest

NETWORK = "network"
"""The resource by which a rule says whether it has the network."""


def chosen_image(job: Any, workflow: Any, preferred: EnvironmentKind | None) -> str | None:
    """Return the address of the container that a job is to run in, or ``None`` for no container.

    Args:
        job: Snakemake's.
        workflow: Likewise.
        preferred: What counts where a rule asks for both, if the user has said so.

    Raises:
        EnvironmentSpecError: The rule asks for a container and for a conda environment.
    """
    image = job.container_img_url
    if not image:
        return None
    both = job.conda_env_spec is not None and not _is_the_wrappers(job, workflow)
    if not both or preferred is EnvironmentKind.CONTAINER:
        return str(image)
    if preferred is None:
        raise EnvironmentSpecError(
            f"rule {job.rule.name} asks for the container {image} and for a conda environment: "
            "which is it to run in?",
            hint="`--ray-environments container` runs such rules in the container, "
            "`--ray-environments conda` in the conda environment.",
        )
    return None


def container_request(
    job: Any, workflow: Any, *, engine: str, network: bool, defaulted: frozenset[str]
) -> ContainerRequest:
    """Return what a job in a container needs beside the image.

    Args:
        job: Snakemake's; no group.
        workflow: Likewise.
        engine: Container engine of the nodes.
        network: Whether rules have the network that do not say it themselves.
        defaulted: Resources that Snakemake filled in: its default memory is no limit that anybody
            meant.
    """
    resources = dict(job.resources.items())
    return ContainerRequest(
        engine=engine,
        memory=0 if "mem_mb" in defaulted else memory_of(resources),
        gpus=gpus_of(resources),
        sources=tuple(dict.fromkeys(map(os.path.realpath, _sources(job, workflow)))),
        network=wants_network(job, default=network),
    )


def not_forked(job: Any, why: Exception) -> EnvironmentSpecError:
    """Return the refusal of a job in a container of Apptainer that takes the fork tier."""
    rules = sorted({member.rule.name for member in members_of(job)})
    reason = f"a value of type {why}" if isinstance(why, NotPlainError) else why
    return EnvironmentSpecError(
        f"rule {', '.join(rules)} cannot run in a container of Apptainer: it takes the fork tier "
        f"({reason}), where this version starts containers of Docker and Podman only",
        hint="--ray-container-engine chooses another engine, `--ray-environments host` runs "
        "without containers.",
    )


def wants_network(job: Any, *, default: bool) -> bool:
    """Tell whether a job is to have the network; a number is one that Snakemake counts."""
    asked = job.resources.get(NETWORK)
    return asked if isinstance(asked, bool) else default


def _is_the_wrappers(job: Any, workflow: Any) -> bool:
    """Tell whether the conda environment comes with the wrapper; the rule says nothing of it."""
    if not job.is_wrapper:
        return False
    from snakemake.wrapper import get_conda_env

    prefix = workflow.workflow_settings.wrapper_prefix
    return bool(job.rule.conda_env == get_conda_env(job.rule.wrapper, prefix=prefix))


def _sources(job: Any, workflow: Any) -> Sequence[str]:
    """Return where the files of the workflow are, and the copies that Snakemake made of some."""
    found = [workflow.basedir, str(workflow.sourcecache.runtime_cache_path)]
    if job.rule.basedir.is_local:
        found.append(job.rule.basedir.get_path_or_uri(secret_free=True))
    return found
