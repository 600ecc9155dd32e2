"""MLflow's autologging inside a job: into a store of the job's own, which is read at its end.

A job may have no network and need not know where MLflow is; what it records travels with its
record. This module runs in whatever environment the job has.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakemake_repro.backends.caches import user_cache
from snakemake_repro.backends.mlflow_fastai import FastaiRecorder
from snakemake_repro.backends.mlflow_files import make_store

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
_OWN_TAGS = "mlflow."


class Autologging:
    """What MLflow records by itself between ``begin`` and ``end``.

    Attributes:
        directory: Where its store lies.
    """

    def __init__(self, directory: Path) -> None:
        """Prepare a store.

        Args:
            directory: An empty one for it; the caller removes it.

        Raises:
            ImportError: The environment has no MLflow that can do this.
        """
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            import mlflow
            import mlflow.store.tracking.sqlalchemy_store  # mlflow-skinny lacks what it needs
        except ImportError as exc:
            raise ImportError(
                f"autolog=True needs MLflow in the environment of the rule: {exc}"
            ) from exc
        for logger in ("mlflow", "alembic"):
            logging.getLogger(logger).setLevel(logging.ERROR)
        self._mlflow: Any = mlflow
        self._fastai = FastaiRecorder(mlflow)
        self.directory = directory
        self._uri = f"sqlite:///{directory}/mlflow.db"
        self._before: str | None = None
        self._run = ""

    def begin(self) -> None:
        """Let the libraries record from now on."""
        _put_store(self.directory / "mlflow.db", self._mlflow.__version__)
        if self._mlflow.is_tracking_uri_set():
            self._before = self._mlflow.get_tracking_uri()
        self._mlflow.set_tracking_uri(self._uri)
        client = self._mlflow.MlflowClient(tracking_uri=self._uri)
        place = _artifacts_beside(self.directory / "mlflow.db")
        experiment = client.create_experiment("job", artifact_location=place)
        self._run = self._mlflow.start_run(experiment_id=experiment).info.run_id
        try:
            # a model is logged where the job says so: MLflow's own way takes up to half a minute
            self._mlflow.autolog(log_models=False, log_datasets=False, silent=True)
            self._fastai.begin()
        except BaseException:
            self._stop()  # else MLflow ends its run at exit, in a store that is gone
            raise

    def end(self) -> tuple[list[dict[str, Any]], Path | None]:
        """Stop recording.

        Returns:
            Lines for ``$REPRO_METRICS``, and the directory with what the libraries drew.
        """
        self._stop()
        client = self._mlflow.MlflowClient(tracking_uri=self._uri)
        run = client.get_run(self._run)
        lines = list(_lines(client, run))
        artifacts = self.directory / "artifacts" / self._run / "artifacts"
        return lines, artifacts if artifacts.is_dir() else None

    def _stop(self) -> None:
        self._fastai.end()
        self._mlflow.autolog(disable=True)
        self._mlflow.end_run()
        self._mlflow.set_tracking_uri(self._before)


def _lines(client: Any, run: Any) -> Iterator[dict[str, Any]]:
    if run.data.params:
        yield {"$params": dict(run.data.params)}
    tags = {k: v for k, v in run.data.tags.items() if not k.startswith(_OWN_TAGS)}
    if tags:
        yield {"$tags": tags}
    for name in sorted(run.data.metrics):
        for point in client.get_metric_history(run.info.run_id, name):
            yield _metric(name, point)


def _metric(name: str, point: Any) -> dict[str, Any]:
    return {name: point.value, "step": point.step, "timestamp": point.timestamp}


def _put_store(place: Path, version: str) -> None:
    """Put an empty store of this version of MLflow somewhere: making one takes seconds.

    It is made once for a user and a machine, and copied; where there is no cache, it is made.
    """
    try:
        cache = user_cache()
        cache.mkdir(parents=True, exist_ok=True)
        template = cache / f"mlflow-{version}.db"
        if not template.exists():
            with tempfile.TemporaryDirectory(dir=cache) as directory:
                made = Path(directory, "mlflow.db")
                make_store(made, _artifacts_beside(made))
                made.replace(template)
        shutil.copyfile(template, place)
    except (OSError, RuntimeError):
        make_store(place, _artifacts_beside(place))


def _artifacts_beside(store: Path) -> str:
    return (store.parent / "artifacts").as_uri()
