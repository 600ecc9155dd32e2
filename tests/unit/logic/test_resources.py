"""Snakemake's resources become Ray's; its own defaults never get in the way."""

from __future__ import annotations

import pytest

from snakemake_repro.errors import ClusterError
from snakemake_repro.logic.resources import Fitted, disk_of, fit, limit_of
from snakemake_repro.records.tasks import Node, ResourceRequest

SMALL = Node(cpus=2, memory=500_000_000)
LARGE = Node(cpus=8, memory=16_000_000_000, gpus=2)


def _fit(
    nodes: tuple[Node, ...] = (SMALL,),
    threads: int = 1,
    defaulted: frozenset[str] = frozenset(),
    **resources: object,
) -> Fitted:
    return fit(
        asker="rule r", threads=threads, resources=resources, defaulted=defaulted, nodes=nodes
    )


def test_threads_memory_and_gpus_are_asked_of_ray() -> None:
    fitted = _fit((SMALL, LARGE), threads=4, mem_mb=1000, gpu=1)
    assert fitted.request == ResourceRequest(cpus=4, memory=1_000_000_000, gpus=1)
    assert fitted.capped_threads is None


def test_threads_are_capped_at_the_largest_node() -> None:
    fitted = _fit((SMALL, LARGE), threads=64)
    assert fitted.request.cpus == 8
    assert fitted.capped_threads == 8


def test_memory_that_snakemake_filled_in_never_makes_a_job_infeasible() -> None:
    fitted = _fit(mem_mb=1000, disk_mb=50_000, defaulted=frozenset({"mem_mb", "disk_mb"}))
    assert fitted.request.memory == SMALL.memory


def test_memory_that_no_node_has_is_an_error_at_once() -> None:
    with pytest.raises(ClusterError, match=r"rule r asks for 64000 MB .* has 16000 MB"):
        _fit((SMALL, LARGE), mem_mb=64_000)


def test_memory_and_cpus_must_be_had_on_the_same_node() -> None:
    nodes = (Node(cpus=16, memory=1_000_000_000), Node(cpus=1, memory=64_000_000_000))
    with pytest.raises(ClusterError, match="largest node of the cluster with 16 CPUs has 1000 MB"):
        _fit(nodes, threads=16, mem_mb=2000)


def test_gpus_that_no_node_has_are_an_error_at_once() -> None:
    with pytest.raises(ClusterError, match=r"rule r asks for 1 GPU.* has 0 GPU"):
        _fit(gpu=1)


def test_a_fraction_of_a_gpu_can_be_asked_for() -> None:
    assert _fit((LARGE,), nvidia_gpu="0.5").request.gpus == 0.5


def test_gpus_are_whole_above_one() -> None:
    with pytest.raises(ClusterError, match=r"asks for 1.5 GPUs: expected a whole number"):
        _fit((LARGE,), gpu="1.5")


TYPED = Node(
    cpus=4,
    memory=8_000_000_000,
    gpus=1,
    custom={"accelerator_type:A100": 1.0, "licence": 2.0},
    labels={"zone": "a", "ray.io/node-id": "1"},
)


def test_the_model_of_a_gpu_is_found_in_any_case() -> None:
    request = _fit((SMALL, TYPED), gpu=1, gpu_model="a100").request
    assert request.custom == {"accelerator_type:A100": 0.001}


def test_own_resources_and_labels_of_ray_are_asked_for_by_name() -> None:
    request = _fit((SMALL, TYPED), ray_licence=2, ray_other=0, ray_node="zone=a").request
    assert request.custom == {"licence": 2.0}
    assert request.labels == {"zone": "a"}


def test_cpus_are_those_of_a_node_that_has_the_rest() -> None:
    fitted = _fit((LARGE, TYPED), threads=8, ray_licence=1)
    assert (fitted.request.cpus, fitted.capped_threads) == (4, 4)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"gpu": 1, "gpu_model": "H100"}, "asks for GPUs of model H100, .* has A100"),
        ({"ray_licence": 3}, "asks for 3 of licence, .* has 2 of it"),
        ({"ray_nonsense": 1}, "asks for 1 of nonsense, .* has licence"),
        ({"ray_licence": "many"}, "ray_licence='many': expected a number"),
        ({"ray_node": "zone=b"}, "a node labelled zone=b, .* are labelled zone=a"),
        ({"ray_node": "zone"}, "ray_node='zone': expected NAME=VALUE"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_no_node_has_is_named_with_what_there_is(
    resources: dict[str, object], message: str
) -> None:
    with pytest.raises(ClusterError, match=f"rule r .*{message}"):
        _fit((SMALL, TYPED), **resources)


def test_the_runtime_is_minutes_and_the_disk_what_an_author_asks_for() -> None:
    assert limit_of({"runtime": 2}) == 120
    assert limit_of({"mem_mb": 1}) is None
    assert disk_of({"disk_mb": 5}, frozenset()) == 5_000_000
    assert disk_of({"disk_mb": 5}, frozenset({"disk_mb"})) == 0


def test_a_rule_without_threads_reserves_none() -> None:
    assert _fit(threads=0).request == ResourceRequest(cpus=0)
