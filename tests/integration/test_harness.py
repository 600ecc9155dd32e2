"""Snakemake's own test harness for executors."""

from __future__ import annotations

from typing import ClassVar

import pytest
from clusters import RunningCluster
from snakemake.common.tests import TestWorkflowsLocalStorageBase

from snakemake_executor_plugin_ray import ExecutorSettings

pytestmark = pytest.mark.integration


class TestWorkflows(TestWorkflowsLocalStorageBase):
    """Runs the harness's two workflows (logs, threads, memory; groups) through the plugin."""

    __test__ = True
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
