"""What a person sees in MLflow, read with its plain client."""

from __future__ import annotations

import dataclasses
import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

from mlflow import MlflowClient


@dataclasses.dataclass(kw_only=True)
class Shown:
    """A workflow run and the runs below it.

    Attributes:
        jobs: Attempt id -> every run that claims to be it.
    """

    parent: Any
    jobs: dict[str, list[Any]]

    @property
    def attempts(self) -> list[str]:
        """The attempts, those made twice twice."""
        return sorted(attempt for attempt, runs in self.jobs.items() for _ in runs)

    @property
    def states(self) -> dict[str, str]:
        """Attempt id -> state."""
        return {attempt: runs[0].data.tags["repro.state"] for attempt, runs in self.jobs.items()}


class View:
    """One tracking store."""

    def __init__(self, uri: str) -> None:
        self.client = MlflowClient(tracking_uri=uri)

    def runs(self) -> list[Any]:
        """Return all runs of all experiments."""
        ids = [e.experiment_id for e in self.client.search_experiments()]
        found, token = [], None
        while True:
            page = self.client.search_runs(ids, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def shown(self, run_id: str) -> Shown:
        """Return one workflow run, which must be there once."""
        runs = self.runs()
        (parent,) = [
            run
            for run in runs
            if run.data.tags.get("repro.run_id") == run_id
            and "mlflow.parentRunId" not in run.data.tags
        ]
        jobs: dict[str, list[Any]] = defaultdict(list)
        for run in runs:
            if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id:
                jobs[run.data.tags["repro.attempt_id"]].append(run)
        return Shown(parent=parent, jobs=dict(jobs))

    def lineage(self, run_id: str, to: Path) -> dict[str, bytes]:
        """Return the lineage parts of a workflow run."""
        mlflow_run = self.shown(run_id).parent.info.run_id
        to.mkdir(parents=True, exist_ok=True)
        parts = {}
        for item in self.client.list_artifacts(mlflow_run, "lineage"):
            path = Path(self.client.download_artifacts(mlflow_run, item.path, str(to)))
            parts[path.name.removesuffix(".jsonl.gz")] = gzip.decompress(path.read_bytes())
        return parts
