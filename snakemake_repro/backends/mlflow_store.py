"""Past runs read back from MLflow alone; a ``LineageStore``."""

from __future__ import annotations

import gzip
import json
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakemake_repro.backends import mlflow_fields as fields
from snakemake_repro.backends.mlflow_client import connect, translated
from snakemake_repro.errors import NotFoundError, RecordError
from snakemake_repro.logic.history import RunHistory, fold
from snakemake_repro.records import Entry


class MlflowStore:
    """The runs that one tracking store holds; it is never written to."""

    def __init__(self, uri: str, experiment: str | None = None) -> None:
        """Connect.

        Args:
            uri: Tracking URI.
            experiment: Name of an experiment to look in; ``None`` for all.

        Raises:
            TrackingError: The store cannot be reached.
            NotFoundError: There is no such experiment.
        """
        self._uri = uri
        self._client = connect(uri, create=False)
        with translated(uri):
            self._experiments = self._experiment_ids(experiment)

    def run_ids(self) -> list[str]:
        """Return the ids of all workflow runs whose record is there, oldest first."""
        with translated(self._uri):
            return [run.data.tags[fields.RUN_TAG] for run in self._runs()]

    def in_mlflow(self, prefix: str) -> list[str]:
        """Return the ids of the runs whose MLflow run's id begins so."""
        with translated(self._uri):
            return [
                run.data.tags[fields.RUN_TAG]
                for run in self._runs()
                if str(run.info.run_id).startswith(prefix)
            ]

    def load(self, run_id: str) -> RunHistory:
        """Return one run."""
        with translated(self._uri):
            wanted = f" and tags.`{fields.RUN_TAG}` = '{run_id}'" if run_id.isalnum() else None
            run = None if wanted is None else next(self._runs(wanted), None)
            if run is None:
                raise NotFoundError(
                    f"no run {run_id!r} in the MLflow store",
                    hint="`repro log` with the same --tracking-uri lists what is there.",
                )
            history = fold(self._entries(str(run.info.run_id)))
        if history is None:
            raise RecordError(
                f"the MLflow run {run.info.run_id} holds no complete record of run {run_id}",
                hint="`repro sync` where the workflow ran delivers the rest.",
            )
        return history

    def _runs(self, wanted: str = "") -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs(
                self._experiments,
                f"tags.`repro.kind` = 'workflow'{wanted}",
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from (run for run in page if fields.RUN_TAG in run.data.tags)
            token = page.token
            if not token:
                return

    def _entries(self, mlflow_run: str) -> Iterator[Entry]:
        parts = self._client.list_artifacts(mlflow_run, fields.LINEAGE)
        with tempfile.TemporaryDirectory(prefix="repro-") as directory:
            for item in sorted(parts, key=lambda part: str(part.path)):
                path = Path(self._client.download_artifacts(mlflow_run, item.path, directory))
                yield from _read(path)
                path.unlink()

    def _experiment_ids(self, name: str | None) -> list[str]:
        if name is None:
            found = []
            token = None
            while True:
                page = self._client.search_experiments(page_token=token)
                found += [experiment.experiment_id for experiment in page]
                token = page.token
                if not token:
                    return found
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            raise NotFoundError(
                f"no experiment {name!r} in the MLflow store",
                hint="Without --experiment all of them are looked through.",
            )
        return [experiment.experiment_id]


def _read(path: Path) -> Iterator[Entry]:
    try:
        lines = gzip.decompress(path.read_bytes()).splitlines()
        entries = [Entry.from_line(json.loads(line)) for line in lines]
    except RecordError as exc:
        raise RecordError(f"lineage artifact {path.name}: {exc.message}", hint=exc.hint) from exc
    except (OSError, EOFError, ValueError, AttributeError, zlib.error) as exc:
        raise RecordError(
            f"lineage artifact {path.name} cannot be read: {exc}",
            hint="`repro sync` where the workflow ran writes it anew after `.repro/delivery` is "
            "removed there.",
        ) from exc
    yield from (entry for entry in entries if entry is not None)
