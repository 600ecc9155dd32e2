"""Snakemake's own test harness for executors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from clusters import RunningCluster
from servers import s3_server
from snakemake.common.tests import (
    TestWorkflowsLocalStorageBase,
    TestWorkflowsMinioPlayStorageBase,
)

from snakemake_executor_plugin_ray import ExecutorSettings

pytestmark = pytest.mark.integration


class OnRay:
    """What both classes of the harness ask of an executor."""

    address: ClassVar[str | None] = None

    @pytest.fixture(autouse=True)
    def _shared_cluster(self, cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch) -> None:
        type(self).address = cluster.address
        for name, value in cluster.environ.items():
            monkeypatch.setenv(name, value)

    def get_executor(self) -> str:
        return "ray"

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(address=self.address)


class TestWorkflows(OnRay, TestWorkflowsLocalStorageBase):
    """Runs the harness's two workflows (logs, threads, memory; groups) through the plugin."""

    __test__ = True


class TestRemoteStorage(OnRay, TestWorkflowsMinioPlayStorageBase):
    """Runs them with all files in a bucket, which driver and jobs reach by its address."""

    __test__ = True
    endpoint: ClassVar[str] = ""

    @pytest.fixture(autouse=True)
    def _bucket_server(self, tmp_path: Path) -> Iterator[None]:
        pytest.importorskip("snakemake_storage_plugin_s3")
        pytest.importorskip("moto")
        with s3_server(tmp_path / "s3.log") as endpoint:
            type(self).endpoint = endpoint
            yield

    @property
    def endpoint_url(self) -> str:
        return self.endpoint
