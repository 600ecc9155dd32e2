"""Snakemake's resources -> Ray's.

``threads`` become CPUs, ``mem_mb`` becomes memory, ``gpu`` (or ``nvidia_gpu``) becomes GPUs; disk
is nothing that Ray schedules. What an author asked for is asked of the cluster; what Snakemake
added by itself (1,000 MB of memory, 50,000 MB of disk) never makes a job infeasible.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from snakemake_repro.errors import ClusterError
from snakemake_repro.records import Json
from snakemake_repro.records.tasks import Node, ResourceRequest

_MB = 1_000_000
_GPU_NAMES = ("gpu", "gpus", "nvidia_gpu")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A request that some node can satisfy.

    Attributes:
        request: What to ask of Ray.
        capped_threads: The largest node's CPUs when fewer than the job's threads, else ``None``.
    """

    request: ResourceRequest
    capped_threads: int | None = None


def fit(
    *,
    rule: str,
    threads: int,
    resources: Mapping[str, Json],
    defaulted: frozenset[str],
    nodes: Sequence[Node],
) -> Fitted:
    """Map one job's resources onto what the cluster has.

    Args:
        rule: Name of the rule, for messages.
        threads: As Snakemake evaluated them.
        resources: Likewise; sizes in MB.
        defaulted: Names of resources that Snakemake filled in by its own defaults.
        nodes: What the cluster's nodes have.

    Raises:
        ClusterError: The rule's author asks for memory or GPUs that no node has.
    """
    most_cpus = max((node.cpus for node in nodes), default=1.0)
    capped = threads > most_cpus
    cpus = min(float(threads), most_cpus)
    gpus = gpus_of(resources)
    candidates = [node for node in nodes if node.cpus >= cpus and node.gpus >= gpus]
    if gpus and not candidates:
        most = max((node.gpus for node in nodes), default=0.0)
        raise ClusterError(
            f"rule {rule} asks for {gpus:g} GPU(s) beside {cpus:g} CPU(s), "
            f"the largest node of the cluster has {most:g} GPU(s)",
            hint="Lower the rule's `gpu` resource or join a cluster that has GPUs (--ray-address).",
        )
    most_memory = max((node.memory for node in candidates), default=0)
    memory = memory_of(resources)
    if "mem_mb" in defaulted:
        memory = min(memory, most_memory)
    elif memory > most_memory:
        raise ClusterError(
            f"rule {rule} asks for {memory // _MB} MB of memory, "
            f"the largest node of the cluster has {most_memory // _MB} MB for jobs",
            hint="Lower the rule's `mem_mb` or join a larger cluster (--ray-address).",
        )
    return Fitted(
        request=ResourceRequest(cpus=cpus, memory=memory, gpus=gpus),
        capped_threads=int(most_cpus) if capped else None,
    )


def memory_of(resources: Mapping[str, Json]) -> int:
    """Return the memory of a job in bytes; 0 where it names none."""
    value = resources.get("mem_mb")
    return int(value) * _MB if isinstance(value, int | float) and value > 0 else 0


def gpus_of(resources: Mapping[str, Json]) -> float:
    """Return the GPUs of a job."""
    for name in _GPU_NAMES:
        value = resources.get(name)
        if isinstance(value, int | float) and value > 0:
            return float(value)
        if isinstance(value, str) and value.replace(".", "", 1).isdigit():
            return float(value)
    return 0.0
