"""What a job's resources are to Snakemake: set by somebody, a default, or a node's own matter."""

from __future__ import annotations

import contextlib
from typing import Any

from snakemake_repro.backends.snakemake_direct import IndirectError
from snakemake_repro.backends.snakemake_values import members_of
from snakemake_repro.records import Json


def defaulted_resources(job: Any, workflow: Any) -> frozenset[str]:
    """Name the resources that the job has only because Snakemake fills them in.

    Those equal the workflow's default resources and are expressions: a constant
    among the defaults was set by the user (``--default-resources mem_mb=2000``).
    """
    defaults = workflow.resource_settings._parsed_default_resources  # noqa: SLF001
    rules = [member.rule for member in members_of(job)]
    found = set()
    for name in ("mem_mb", "disk_mb"):
        default = defaults.get(name)
        if default is None or not default.is_evaluable():
            continue
        # copies of the defaults share the expression, which equality compares
        if all(rule.resources.get(name) == default for rule in rules):
            found.add(name)
    return frozenset(found)


def fixed_resources(rule: Any, workflow: Any) -> dict[str, Json]:
    """Return the resources that are the same for each job of a rule, as its jobs will have them.

    Left out are those that Snakemake computes, which its own defaults are too, and threads.
    """
    from snakemake.exceptions import ResourceConstraintError

    limits = workflow.global_resources
    found: dict[str, Json] = {}
    for name, resource in rule.resources.items():
        if name == "_cores" or resource.is_evaluable():
            continue
        # of what cannot be compared with its limit Snakemake itself says so
        with contextlib.suppress(ResourceConstraintError):
            found[name] = resource.constrain(limits.get(name)).value
    return found


def tmpdir_of(job: Any) -> tuple[str | None, bool]:
    """Return the temporary directory that the author set, and whether there is to be one.

    Raises:
        IndirectError: It is computed on the node.
    """
    resource = job.rule.resources.get("tmpdir")
    if resource is None:
        return None, False
    if not resource.is_evaluable():
        return str(resource.value), True
    if resource.raw == "system_tmpdir":
        return None, True
    raise IndirectError("a tmpdir that is computed on the node")
