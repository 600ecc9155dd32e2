"""Environment modules (``envmodules:``), which count where the user switches them on."""

from __future__ import annotations

from typing import Any


def modules_of(job: Any, workflow: Any) -> tuple[str, ...]:
    """Return the modules that a job loads.

    A rule that names some runs with them and not in its ``container:`` or ``conda:``: who switches
    them on has a cluster whose modules were built for it.
    """
    from snakemake.settings.types import DeploymentMethod

    if DeploymentMethod.ENV_MODULES not in workflow.deployment_settings.deployment_method:
        return ()
    modules = job.rule.env_modules
    return () if modules is None else tuple(modules.names)
