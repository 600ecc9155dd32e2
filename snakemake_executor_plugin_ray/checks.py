"""What is refused before any job runs: senseless flags, and resources that no node has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from snakemake_executor_plugin_ray.settings import (
    CONTAINER_ENGINES,
    CONTAINER_NETWORKS,
    ENVIRONMENTS,
    HERMETIC,
    LOCKS,
    MLFLOW_RUNS,
    TIERS,
    TRACES,
    ExecutorSettings,
)
from snakemake_repro.backends.snakemake_direct import together
from snakemake_repro.backends.snakemake_jobs import Translator
from snakemake_repro.backends.snakemake_resources import fixed_resources
from snakemake_repro.errors import ClusterError, IsolationError, UsageError
from snakemake_repro.logic.resources import fit
from snakemake_repro.records import EnvironmentKind
from snakemake_repro.records.tasks import IsolationRequest, Node


def check(settings: ExecutorSettings, workflow: Any) -> None:
    """Refuse values and combinations that cannot be meant.

    Raises:
        ClusterError: The address is one of Ray Client.
        UsageError: The first of all others.
    """
    _check_values(settings)
    _check_snakemake(workflow)


def check_jobs(
    jobs: Iterable[Any], translator: Translator
) -> tuple[list[IsolationRequest | None], bool]:
    """Refuse rules whose environment cannot be given, or that cannot be closed off as asked.

    Returns:
        How those are closed off that run in no container, and whether others do.

    Raises:
        EnvironmentSpecError: A rule's environment cannot be given.
        IsolationError: Rules cannot run hermetically as asked; it names all of them.
    """
    requests: list[IsolationRequest | None] = []
    refused: list[IsolationError] = []
    contained = False
    for job in jobs:
        kind = translator.check_environment(job)
        try:
            request = translator.check_isolation(job)
        except IsolationError as exc:
            refused.append(exc)
            continue
        if kind is EnvironmentKind.CONTAINER:
            contained = True  # the engine closes it off
        else:
            requests.append(request)
    if refused:
        raise together(refused)
    return requests, contained


def check_resources(jobs: Iterable[Any], workflow: Any, nodes: Sequence[Node]) -> None:
    """Refuse what no node can ever run, where that can be told before its job is ready.

    Raises:
        ClusterError: A rule asks for what no node of the cluster has.
    """
    for rule in {job.rule: None for job in jobs if not job.is_local}:
        asked = fixed_resources(rule, workflow)
        fit(
            asker=f"rule {rule.name}",
            threads=0,
            resources=asked,
            defaulted=frozenset(),
            nodes=nodes,
        )


def _check_values(settings: ExecutorSettings) -> None:
    for flag, value, known in (
        ("container-engine", settings.container_engine, CONTAINER_ENGINES),
        ("container-network", settings.container_network, CONTAINER_NETWORKS),
        ("environments", settings.environments, ENVIRONMENTS),
        ("hermetic", settings.hermetic, HERMETIC),
        ("hermetic-trace", settings.hermetic_trace, TRACES),
        ("locks", settings.locks, LOCKS),
        ("mlflow-runs", settings.mlflow_runs, MLFLOW_RUNS),
        ("tier", settings.tier, TIERS),
    ):
        if value not in known:
            raise UsageError(
                f"--ray-{flag} is {value!r}: expected one of {', '.join(known)}",
                hint="`snakemake --help` describes the --ray- flags.",
            )
    if settings.hermetic == "report" and settings.hermetic_trace == "off":
        raise UsageError(
            "--ray-hermetic report needs strace to see what jobs do, and --ray-hermetic-trace is "
            "off",
            hint="Leave --ray-hermetic-trace away.",
        )
    if settings.resubmissions < 0:
        raise UsageError(
            f"--ray-resubmissions is {settings.resubmissions}: expected 0 or more",
            hint="0 gives up at the first loss.",
        )
    if settings.delivery_wait < 0:
        raise UsageError(
            f"--ray-delivery-wait is {settings.delivery_wait}: expected 0 or more seconds",
            hint="0 does not wait; delivery goes on in the background.",
        )
    if settings.cpus is not None and settings.cpus < 1:
        raise UsageError(
            f"--ray-cpus is {settings.cpus}: expected 1 or more",
            hint="Leave it away for all CPUs of this machine.",
        )
    if settings.address and settings.address.startswith("ray://"):
        raise ClusterError(
            f"--ray-address is {settings.address!r}: Ray Client addresses are not supported",
            hint="Give the head's own address, HOST:6379, from a machine of its network.",
        )


def _check_snakemake(workflow: Any) -> None:
    from snakemake_interface_executor_plugins.settings import DeploymentMethod

    refused = set(workflow.deployment_settings.deployment_method) - {DeploymentMethod.ENV_MODULES}
    if refused:
        methods = ", ".join(sorted(method.item_to_choice() for method in refused))
        raise UsageError(
            f"--software-deployment-method {methods} together with --executor ray: the executor "
            "realises environments itself, from their locks",
            hint="Leave --software-deployment-method away; `repro lock` makes the locks.",
        )
    if workflow.remote_execution_settings.immediate_submit:
        raise UsageError(
            "--immediate-submit together with --executor ray: it hands in jobs whose inputs are "
            "not there yet and leaves, and Ray keeps neither jobs nor their order for who leaves",
            hint="Leave --immediate-submit away; a job starts as soon as its inputs are there.",
        )
