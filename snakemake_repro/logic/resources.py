"""Snakemake's resources -> Ray's.

``threads`` become CPUs, ``mem_mb`` becomes memory, ``gpu`` (or ``nvidia_gpu``) becomes GPUs and
``gpu_model`` their type; ``ray_NAME`` is Ray's custom resource NAME, and ``ray_node`` names labels
of nodes. ``runtime`` and ``disk_mb`` are nothing that Ray schedules: the node sees to them.
``helpers`` are asked of the cluster by the job, while it runs. What an author asked for is asked of
the cluster; what Snakemake added by itself (1,000 MB of memory, 50,000 MB of disk) never makes a
job infeasible.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from snakemake_repro.errors import ClusterError
from snakemake_repro.records import Json
from snakemake_repro.records.tasks import Node, ResourceRequest

_MB = 1_000_000
_MINUTE_S = 60.0
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What libraries read for how many threads to start, as Snakemake sets it for its jobs."""

_GPU_NAMES = ("gpu", "gpus", "nvidia_gpu")
_GPU_MODEL = "gpu_model"
_CUSTOM = "ray_"
_LABELS = "ray_node"
_HELPERS = "helpers"
_ACCELERATOR = "accelerator_type:"
"""Before the type of a node's accelerators, which Ray keeps among its custom resources."""

_SHARE = 0.001
"""How much of it Ray itself asks for: enough to be placed, too little to be used up."""


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
    asker: str,
    threads: int,
    resources: Mapping[str, Json],
    defaulted: frozenset[str],
    nodes: Sequence[Node],
) -> Fitted:
    """Map one job's resources onto what the cluster has.

    Args:
        asker: Who asks, for messages: ``rule a``.
        threads: As Snakemake evaluated them.
        resources: Likewise; sizes in MB.
        defaulted: Names of resources that Snakemake filled in by its own defaults.
        nodes: What the cluster's nodes have.

    Raises:
        ClusterError: The rule's author asks for something that no node has.
    """
    labels = labels_of(asker, resources)
    _check_helpers(asker, resources)
    custom = dict(_custom(asker, resources, nodes))
    gpus = gpus_of(resources)
    able = _labelled(asker, labels, nodes)
    able = _having(asker, custom, able)
    able = _with_gpus(asker, gpus, able)
    most_cpus = max((node.cpus for node in able), default=1.0)
    cpus = min(float(threads), most_cpus)
    most_memory = max((node.memory for node in able if node.cpus >= cpus), default=0)
    memory = memory_of(resources)
    if "mem_mb" in defaulted:
        memory = min(memory, most_memory)
    elif memory > most_memory:
        beside = f" with {cpus:g} CPUs" if any(node.memory > most_memory for node in able) else ""
        raise ClusterError(
            f"{asker} asks for {memory // _MB} MB of memory, "
            f"the largest node of the cluster{beside} has {most_memory // _MB} MB for jobs",
            hint="Lower the rule's `mem_mb` or join a larger cluster (--ray-address).",
        )
    return Fitted(
        request=ResourceRequest(cpus=cpus, memory=memory, gpus=gpus, custom=custom, labels=labels),
        capped_threads=int(most_cpus) if threads > most_cpus else None,
    )


def suits(request: ResourceRequest, node: Node) -> bool:
    """Tell whether a node has, in all, what a task asks for."""
    return (
        node.cpus >= request.cpus
        and node.memory >= request.memory
        and node.gpus >= request.gpus
        and all(node.custom.get(name, 0.0) >= amount for name, amount in request.custom.items())
        and request.labels.items() <= dict(node.labels).items()
    )


def spelled(request: ResourceRequest) -> str:
    """Return what a task asks for, as text."""
    parts = [f"{request.cpus:g} CPU(s)"]
    if request.memory:
        parts.append(f"{request.memory // _MB} MB of memory")
    if request.gpus:
        parts.append(f"{request.gpus:g} GPU(s)")
    parts += [f"{amount:g} of {name}" for name, amount in sorted(request.custom.items())]
    parts += [f"label {pair}" for pair in _pairs(request.labels)]
    return ", ".join(parts)


def memory_of(resources: Mapping[str, Json]) -> int:
    """Return the memory of a job in bytes; 0 where it names none."""
    return int(_number(resources.get("mem_mb")) * _MB)


def disk_of(resources: Mapping[str, Json], defaulted: frozenset[str]) -> int:
    """Return the disk space in bytes that the author of a job asks for; 0 where it names none."""
    return 0 if "disk_mb" in defaulted else int(_number(resources.get("disk_mb")) * _MB)


def limit_of(resources: Mapping[str, Json]) -> float | None:
    """Return how many seconds a job may run, ``None`` for as long as it likes."""
    return _number(resources.get("runtime")) * _MINUTE_S or None


def gpus_of(resources: Mapping[str, Json]) -> float:
    """Return the GPUs of a job."""
    return next((found for name in _GPU_NAMES if (found := _number(resources.get(name)))), 0.0)


def accelerators_of(resources: Mapping[str, Json], nodes: Sequence[Node]) -> dict[str, float]:
    """Return what to ask of Ray for GPUs of the model that a job names; empty where it does not.

    Args:
        resources: Of the job.
        nodes: What the cluster's nodes have, which decide between upper and lower case.
    """
    model = resources.get(_GPU_MODEL)
    if not isinstance(model, str) or not model:
        return {}
    known = {name.casefold(): name for name in _models(nodes)}
    return {_ACCELERATOR + known.get(model.casefold(), model): _SHARE}


def labels_of(asker: str, resources: Mapping[str, Json]) -> dict[str, str]:
    """Return the labels that a job's node is to have.

    Raises:
        ClusterError: They are not written as labels are.
    """
    text = resources.get(_LABELS)
    if text is None:
        return {}
    pairs = [pair.partition("=") for pair in str(text).split(",")]
    if not all(key.strip() and mark for key, mark, _ in pairs):
        raise ClusterError(
            f"{asker} has {_LABELS}={text!r}: expected NAME=VALUE, more of them after commas",
            hint="Nodes get their labels from `ray start --labels`.",
        )
    return {key.strip(): value.strip() for key, _, value in pairs}


def most_helpers_of(resources: Mapping[str, Json]) -> int:
    """Return how many helpers a job may have at most."""
    return int(_number(resources.get(_HELPERS)))


def _labelled(asker: str, labels: Mapping[str, str], nodes: Sequence[Node]) -> list[Node]:
    found = [node for node in nodes if labels.items() <= dict(node.labels).items()]
    if labels and not found:
        own = (f"{key}={node.labels[key]}" for node in nodes for key in node.labels)
        shown = _listed(label for label in own if not label.startswith("ray.io/"))
        raise ClusterError(
            f"{asker} asks for a node labelled {_listed(_pairs(labels))}, "
            f"the nodes of the cluster are labelled {shown or 'with nothing'}",
            hint="Change the rule's `ray_node`; nodes get their labels from `ray start --labels`.",
        )
    return found


def _having(asker: str, custom: Mapping[str, float], nodes: Sequence[Node]) -> list[Node]:
    found = list(nodes)
    for name, amount in custom.items():
        most = max((node.custom.get(name, 0.0) for node in found), default=0.0)
        found = [node for node in found if node.custom.get(name, 0.0) >= amount]
        if found:
            continue
        kind, asked = _CUSTOM + name, f"{amount:g} of {name}"
        if name.startswith(_ACCELERATOR):
            kind, asked = _GPU_MODEL, f"GPUs of model {name.removeprefix(_ACCELERATOR)}"
            others = _listed(_models(nodes))
        else:
            others = f"{most:g} of it" if most else _listed(_names(nodes))
        raise ClusterError(
            f"{asker} asks for {asked}, a node of the cluster that has the rest "
            f"has {others or 'nothing of that kind'}",
            hint=f"Change the rule's `{kind}` or join a cluster that has it (--ray-address).",
        )
    return found


def _with_gpus(asker: str, gpus: float, nodes: Sequence[Node]) -> list[Node]:
    if gpus > 1 and gpus != int(gpus):
        raise ClusterError(
            f"{asker} asks for {gpus:g} GPUs: expected a whole number above one",
            hint='Ray shares one GPU among jobs (`gpu="0.5"`), and gives more as whole ones.',
        )
    found = [node for node in nodes if node.gpus >= gpus]
    if gpus and not found:
        most = max((node.gpus for node in nodes), default=0.0)
        raise ClusterError(
            f"{asker} asks for {gpus:g} GPU(s), "
            f"the largest node of the cluster has {most:g} GPU(s)",
            hint="Lower the rule's `gpu` resource or join a cluster that has GPUs (--ray-address).",
        )
    return found


def _custom(
    asker: str, resources: Mapping[str, Json], nodes: Sequence[Node]
) -> Iterator[tuple[str, float]]:
    """Yield what is asked of Ray's custom resources."""
    yield from accelerators_of(resources, nodes).items()
    for name, value in resources.items():
        if name == _LABELS or not name.startswith(_CUSTOM):
            continue
        amount = _number(value)
        if not amount and value != 0:
            raise ClusterError(
                f"{asker} has {name}={value!r}: expected a number",
                hint=f"`{name}=1` asks for one of the cluster's resource "
                f"{name.removeprefix(_CUSTOM)}.",
            )
        if amount:
            yield name.removeprefix(_CUSTOM), amount


def _models(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        for name in node.custom:
            if name.startswith(_ACCELERATOR):
                yield name.removeprefix(_ACCELERATOR)


def _names(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        yield from (name for name in node.custom if not name.startswith(_ACCELERATOR))


def _check_helpers(asker: str, resources: Mapping[str, Json]) -> None:
    value = resources.get(_HELPERS, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ClusterError(
            f"{asker} has {_HELPERS}={value!r}: expected a whole number of at least 0",
            hint=f"`{_HELPERS}` says how many processes beside the job may help it.",
        )


def _pairs(labels: Mapping[str, str]) -> Iterator[str]:
    return (f"{key}={value}" for key, value in labels.items())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _number(value: Json) -> float:
    """Return a positive number, given as such or as text; 0 for everything else."""
    if isinstance(value, str):
        value = float(value) if value.replace(".", "", 1).isdigit() else 0
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0
