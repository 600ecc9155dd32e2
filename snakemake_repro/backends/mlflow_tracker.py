"""MLflow as a ``Tracker``: a run per workflow run, below it a run per job.

Only explicit run ids are used, never MLflow's fluent API with its global state.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from snakemake_repro.backends import mlflow_fields as fields
from snakemake_repro.backends.mlflow_client import artifact_root, connect, translated
from snakemake_repro.logic.history import JobHistory, RunHistory

LINEAGE = "lineage"
"""Artifact folder of the complete record."""

_DIFF = "source.diff"
_PARENT_TAG = "mlflow.parentRunId"
_BATCH = 100
_METRIC_BATCH = 1000


class MlflowTracker:
    """Delivers to one tracking store."""

    def __init__(self, uri: str) -> None:
        """Connect.

        Raises:
            TrackingError: The store cannot be reached.
        """
        self._uri = uri
        self._client = connect(uri)
        self._parents: dict[str, tuple[str, str]] = {}
        self._jobs: dict[str, dict[str, str]] = {}

    def begin(self, history: RunHistory) -> str:
        """Make sure the workflow run exists; return its MLflow run id."""
        with translated(self._uri):
            return self._parent(history)[1]

    def put_jobs(self, history: RunHistory, job_ids: Sequence[str]) -> None:
        """Deliver attempts; one that is there already is only brought up to date."""
        with translated(self._uri):
            experiment, parent = self._parent(history)
            jobs = {job.record.id: job for job in history.jobs}
            if history.run.id not in self._jobs:
                self._jobs[history.run.id] = self._known(experiment, history.run.id)
            known = self._jobs[history.run.id]
            for job_id in job_ids:
                existing = known.get(job_id)
                known[job_id] = self._put(history, jobs[job_id], experiment, parent, existing)

    def put_lineage(self, history: RunHistory, part: str, lines: Iterable[bytes]) -> None:
        """Deliver journal lines as one compressed artifact; the same name is written over."""
        with translated(self._uri), tempfile.TemporaryDirectory(prefix="repro-") as directory:
            path = Path(directory, f"{part}.jsonl.gz")
            path.write_bytes(gzip.compress(b"".join(lines), mtime=0))
            self._client.log_artifact(self._parent(history)[1], str(path), LINEAGE)

    def finish(self, history: RunHistory) -> None:
        """Close the workflow run."""
        with translated(self._uri):
            _, parent = self._parent(history)
            self._client.set_tag(parent, "repro.status", fields.run_tags(history)["repro.status"])
            end = history.end
            self._client.set_terminated(
                parent,
                status=fields.run_status(history),
                end_time=fields.milliseconds(end.finished if end else _last(history)),
            )

    def _parent(self, history: RunHistory) -> tuple[str, str]:
        """Return experiment and run id of the workflow run, made if need be."""
        run = history.run
        if run.id not in self._parents:
            experiment = self._experiment(run.experiment or run.name)
            kind = f"tags.`{fields.RUN_TAG}` = '{run.id}' and tags.`repro.kind` = 'workflow'"
            found = self._client.search_runs([experiment], kind, max_results=1)
            parent = found[0].info.run_id if found else self._create_parent(history, experiment)
            self._parents[run.id] = (experiment, parent)
        return self._parents[run.id]

    def _create_parent(self, history: RunHistory, experiment: str) -> str:
        run = history.run
        created = self._client.create_run(
            experiment,
            start_time=fields.milliseconds(run.started),
            tags=fields.run_tags(history),
            run_name=f"{run.name} {run.started[:19]}",
        )
        parent = str(created.info.run_id)
        self._log(parent, fields.run_params(history), ())
        git = run.sources[0].git if run.sources else None
        if git is not None and git.diff:
            self._client.log_text(parent, git.diff, _DIFF)
        return parent

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return str(
                self._client.create_experiment(name, artifact_location=artifact_root(self._uri))
            )
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _known(self, experiment: str, run_id: str) -> dict[str, str]:
        """Return the MLflow runs of attempts that are there already; asked once per process."""
        query = f"tags.`{fields.RUN_TAG}` = '{run_id}' and tags.`repro.kind` = 'job'"
        found: dict[str, str] = {}
        token = None
        while True:
            page = self._client.search_runs([experiment], query, max_results=1000, page_token=token)
            for run in page:
                attempt = run.data.tags.get(fields.ATTEMPT_TAG)
                if attempt is not None:
                    found[attempt] = run.info.run_id
            token = page.token
            if not token:
                return found

    def _put(
        self,
        history: RunHistory,
        job: JobHistory,
        experiment: str,
        parent: str,
        existing: str | None,
    ) -> str:
        record = job.record
        tags = {**fields.job_tags(history, job), _PARENT_TAG: parent}
        run_id = existing
        if run_id is None:
            first = dict(islice(tags.items(), _BATCH))
            created = self._client.create_run(
                experiment,
                start_time=fields.milliseconds(record.started or record.finished),
                tags=first,
                run_name=fields.job_name(job),
            )
            run_id = str(created.info.run_id)
            tags = {name: value for name, value in tags.items() if name not in first}
        self._log(run_id, fields.job_params(job), fields.job_metrics(job), tags)
        inputs = [self._dataset(context, file) for context, file in fields.datasets(job)]
        for start in range(0, len(inputs), _BATCH):
            self._client.log_inputs(run_id, datasets=inputs[start : start + _BATCH])
        self._client.set_terminated(
            run_id,
            status=fields.job_status(job),
            end_time=fields.milliseconds(record.finished or record.started),
        )
        return run_id

    def _log(
        self,
        run_id: str,
        params: dict[str, str],
        metrics: Iterable[tuple[str, float, int, int]],
        tags: dict[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        numbers = [Metric(name, value, when, step) for name, value, when, step in metrics]
        texts = [Param(name, value) for name, value in params.items()]
        labels = [RunTag(name, value) for name, value in (tags or {}).items()]
        while numbers or texts or labels:
            self._client.log_batch(
                run_id,
                metrics=numbers[: _METRIC_BATCH - 2 * _BATCH],
                params=texts[:_BATCH],
                tags=labels[:_BATCH],
                synchronous=True,
            )
            del numbers[: _METRIC_BATCH - 2 * _BATCH], texts[:_BATCH], labels[:_BATCH]

    def _dataset(self, context: str, file: Any) -> Any:
        """Return a file as a dataset: its digest holds 36 characters, the tags hold all."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        tags = {
            "mlflow.data.context": context,
            "sha256": file.digest.value,
            "path": file.path[:500],
            "size": str(file.size),
            "name": file.name or "",
        }
        return DatasetInput(
            dataset=Dataset(
                name=file.path[-250:],
                digest=file.digest.value[: fields.DIGEST_LENGTH],
                source_type="local",
                source=json.dumps({"uri": file.path}),
                profile=json.dumps({"bytes": file.size}),
            ),
            tags=[InputTag(key, value) for key, value in tags.items() if value],
        )


def _last(history: RunHistory) -> str:
    """Return the time of the last thing known of a run without an end."""
    times = [job.record.finished for job in history.jobs if job.record.finished]
    return max([history.run.started, *times])
