"""What an engine is asked for a job; no GPU is needed to see which ones it asks for."""

from __future__ import annotations

import pytest

from snakemake_repro.logic.containers import Cage, ContainerJob, Facts
from snakemake_repro.operations.container_jobs import container_job, without_devices
from snakemake_repro.operations.planning import Plan
from snakemake_repro.records.tasks import ContainerRequest

FACTS = Facts(
    name="Docker 1", platform="linux/amd64", cpus=2, rootless=False, labels=False, init=False
)


def _job(*, gpus: float, closed: bool) -> ContainerJob:
    return container_job(
        FACTS,
        ContainerRequest(gpus=gpus),
        Plan(text="true", shell="sh"),  # noqa: S604 - a field of a record
        image="image@sha256:1",
        workdir="/w",
        threads=1,
        env={},
        cage=Cage(binds=(), log="/l", usage="/u", usage_here="/h", network=False, closed=closed),
        shares=True,
    )


@pytest.mark.parametrize("closed", [False, True], ids=["open", "hermetic"])
def test_a_job_asks_for_the_devices_that_ray_reserved_for_it(
    monkeypatch: pytest.MonkeyPatch, *, closed: bool
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert _job(gpus=2, closed=closed).gpus == ("1", "3")
    assert _job(gpus=0, closed=closed).gpus == ()


def test_inside_the_devices_are_numbered_anew() -> None:
    assert without_devices({"CUDA_VISIBLE_DEVICES": "3", "A": "1"}) == {"A": "1"}
