"""MLflow as a ``Tracker``: a run per workflow run, below it one per job, below a search its trials.

Only explicit run ids are used, never MLflow's fluent API with its global state.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snakemake_repro.backends import mlflow_fields as fields
from snakemake_repro.backends.artifacts import artifacts_root
from snakemake_repro.backends.mlflow_artifacts import put_artifacts
from snakemake_repro.backends.mlflow_client import artifact_root, connect, translated, unrepeated
from snakemake_repro.logic.history import JobHistory, RunHistory
from snakemake_repro.records import Digest, FileRecord

_DIFF = "source.diff"
_PARENT_TAG = "mlflow.parentRunId"
_BATCH = 100
_LIMITS = {"tags": 100, "params": 100, "metrics": 800}
_MAX_REQUEST = 800_000
"""Bytes; the server takes 1,000,000."""
_METRIC_SIZE = 120


class MlflowTracker:
    """Delivers to one tracking store."""

    def __init__(self, uri: str, workdir: Path | None = None) -> None:
        """Connect.

        Args:
            uri: Of the store.
            workdir: Where the runs' artifacts lie; without, none are delivered.

        Raises:
            TrackingError: The store cannot be reached.
        """
        self._uri = uri
        self._workdir = workdir
        self._client = connect(uri, create=True)
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
            self._client.log_artifact(self._parent(history)[1], str(path), fields.LINEAGE)

    def finish(self, history: RunHistory) -> None:
        """Close the workflow run."""
        with translated(self._uri):
            experiment, parent = self._parent(history)
            self._delete_strays(experiment, history, parent)
            self._log(parent, tags=fields.run_totals(history, fields.status_word(history)))
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
            found = sorted(self._runs(experiment, run.id, "workflow"), key=_readiness)
            parent = _id(found[0]) if found else self._create_parent(history, experiment)
            if not found or fields.BEGUN_TAG not in found[0].data.tags:
                self._begin(history, parent)
            self._parents[run.id] = (experiment, parent)
        return self._parents[run.id]

    def _create_parent(self, history: RunHistory, experiment: str) -> str:
        return self._create(
            experiment,
            started=history.run.started,
            tags={fields.RUN_TAG: history.run.id, "repro.kind": "workflow"},
            name=fields.run_name(history),
        )

    def _create(self, experiment: str, *, started: str, tags: Mapping[str, str], name: str) -> str:
        with unrepeated():
            created = self._client.create_run(
                experiment, start_time=fields.milliseconds(started), tags=dict(tags), run_name=name
            )
        return _id(created)

    def _begin(self, history: RunHistory, parent: str) -> None:
        """Deliver what is known of a workflow run from the start."""
        git = history.run.git
        if git is not None and git.diff:
            self._client.log_text(parent, fields.plain(git.diff), _DIFF)
        self._log(
            parent,
            params=fields.run_params(history),
            tags={**fields.run_tags(history), "repro.status": "running"},
        )
        self._log(parent, tags={fields.BEGUN_TAG: "true"})

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
        return _by_attempt(self._runs(experiment, run_id, "job"))

    def _delete_strays(self, experiment: str, history: RunHistory, parent: str) -> None:
        """Delete what came through after we had taken its creation for failed."""
        run_id = history.run.id
        jobs = list(self._runs(experiment, run_id, "job"))
        kept = self._jobs.get(run_id) or _by_attempt(jobs)
        strays = [run for run in self._runs(experiment, run_id, "workflow") if _id(run) != parent]
        strays += [run for run in jobs if _id(run) != kept.get(_attempt(run), _id(run))]
        if any(job.record.trials for job in history.jobs):
            trials = list(self._runs(experiment, run_id, "trial"))
            foremost = _foremost(trials, fields.ATTEMPT_TAG, fields.TRIAL_TAG)
            ready = set(map(_id, foremost.values()))
            strays += [run for run in trials if _id(run) not in ready]
        for run in strays:
            self._client.delete_run(_id(run))

    def _runs(
        self, experiment: str, run_id: str, kind: str, attempt: str | None = None
    ) -> Iterator[Any]:
        """Yield the MLflow runs of one kind that belong to a workflow run, or to an attempt."""
        query = f"tags.`{fields.RUN_TAG}` = '{run_id}' and tags.`repro.kind` = '{kind}'"
        if attempt is not None:
            query += f" and tags.`{fields.ATTEMPT_TAG}` = '{attempt}'"
        token = None
        while True:
            page = self._client.search_runs([experiment], query, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _put(
        self,
        history: RunHistory,
        job: JobHistory,
        experiment: str,
        parent: str,
        existing: str | None,
    ) -> str:
        """Bring one attempt up to date; what is there already is written over by the same."""
        started = job.record.started or job.record.finished or history.run.started
        tags = fields.job_tags(history, job)
        run_id = existing or self._create_job(experiment, parent, job, tags, started)
        self._log(run_id, params=fields.job_params(job), metrics=fields.job_metrics(job), tags=tags)
        inputs = [_dataset(*found) for found in fields.datasets(job)]
        for start in range(0, len(inputs), _BATCH):
            self._client.log_inputs(run_id, datasets=inputs[start : start + _BATCH])
        if self._workdir is not None:
            kept = artifacts_root(self._workdir, history.run.id) / job.record.id
            put_artifacts(self._client, run_id, job.record, kept)
        if job.record.trials:
            self._put_trials(history, job, experiment, run_id, started)
        self._client.set_terminated(
            run_id,
            status=fields.job_status(job),
            end_time=fields.milliseconds(job.record.finished or started),
        )
        return run_id

    def _put_trials(
        self, history: RunHistory, job: JobHistory, experiment: str, parent: str, started: str
    ) -> None:
        """Deliver the trials of an attempt; those that are complete there stay as they are."""
        finished = fields.milliseconds(job.record.finished or started)
        found = self._runs(experiment, history.run.id, "trial", attempt=job.record.id)
        known = _foremost(found, fields.TRIAL_TAG)
        for trial in job.record.trials:
            there = known.get((str(trial.number),))
            if there is not None and there.info.status != "RUNNING":
                continue
            tags = fields.trial_tags(job, trial)
            identity = {
                _PARENT_TAG: parent,
                fields.ATTEMPT_TAG: job.record.id,
                fields.RUN_TAG: history.run.id,
                "repro.kind": "trial",
                fields.TRIAL_TAG: tags[fields.TRIAL_TAG],
            }
            run_id = (
                self._create(
                    experiment, started=started, tags=identity, name=f"trial {trial.number}"
                )
                if there is None
                else _id(there)
            )
            metrics = fields.metrics_of(trial.metrics, finished or 0)
            self._log(run_id, params=fields.trial_params(trial), metrics=metrics, tags=tags)
            self._client.set_terminated(
                run_id, status=fields.trial_status(trial), end_time=finished
            )

    def _create_job(
        self, experiment: str, parent: str, job: JobHistory, tags: Mapping[str, str], started: str
    ) -> str:
        identity = (fields.ATTEMPT_TAG, fields.RUN_TAG, "repro.kind", "mlflow.user")
        return self._create(
            experiment,
            started=started,
            tags={_PARENT_TAG: parent, **{name: tags[name] for name in identity if name in tags}},
            name=fields.job_name(job),
        )

    def _log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] = MappingProxyType({}),
        metrics: Iterable[tuple[str, float, int, int]] = (),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Log in as few requests as the limits allow."""
        from mlflow.entities import Metric, Param, RunTag

        batch: dict[str, list[Any]] = {}
        room = _MAX_REQUEST
        items = chain(
            (("tags", RunTag(*item), _size(*item)) for item in tags.items()),
            (("params", Param(*item), _size(*item)) for item in params.items()),
            (("metrics", Metric(*item), _METRIC_SIZE + _size(item[0])) for item in metrics),
        )
        for kind, item, size in items:
            if size > room or len(batch.get(kind, ())) >= _LIMITS[kind]:
                self._client.log_batch(run_id, **batch, synchronous=True)
                batch, room = {}, _MAX_REQUEST
            batch.setdefault(kind, []).append(item)
            room -= size
        if batch:
            self._client.log_batch(run_id, **batch, synchronous=True)


def _dataset(context: str, file: FileRecord, digest: Digest) -> Any:
    """Return a file as a dataset: its digest holds 36 characters, the tags hold all."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    path = fields.plain(file.path)
    tags = {
        "mlflow.data.context": context,
        "sha256": digest.value,
        "path": path[:500],
        "size": str(file.size),
        "name": file.name or "",
    }
    return DatasetInput(
        dataset=Dataset(
            name=path[-250:],
            digest=digest.value[: fields.DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": path}),
            profile=json.dumps({"bytes": file.size}),
        ),
        tags=[InputTag(key, value) for key, value in tags.items() if value],
    )


def _id(run: Any) -> str:
    return str(run.info.run_id)


def _attempt(run: Any) -> str:
    return str(run.data.tags.get(fields.ATTEMPT_TAG))


def _by_attempt(runs: Iterable[Any]) -> dict[str, str]:
    """Return the MLflow run of each attempt; of several the one that is ready."""
    return {name: _id(run) for (name,), run in _foremost(runs, fields.ATTEMPT_TAG).items()}


def _foremost(runs: Iterable[Any], *tags: str) -> dict[tuple[str, ...], Any]:
    """Return MLflow runs by the values of tags; of several with the same the one that is ready."""
    found: dict[tuple[str, ...], Any] = {}
    for run in sorted(runs, key=_readiness):
        found.setdefault(tuple(str(run.data.tags.get(tag)) for tag in tags), run)
    return found


def _readiness(run: Any) -> tuple[bool, bool, str]:
    """Order runs that claim to be the same: what came through late has nothing but its name."""
    return fields.BEGUN_TAG not in run.data.tags, run.info.status == "RUNNING", _id(run)


def _size(*texts: str) -> int:
    """Return about how many bytes an entry takes in a request."""
    return sum(len(json.dumps(text)) for text in texts) + 30


def _last(history: RunHistory) -> str:
    """Return the time of the last thing known of a run without an end."""
    times = [job.record.finished for job in history.jobs if job.record.finished]
    return max([history.run.started, *times])
