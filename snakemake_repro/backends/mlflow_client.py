"""The MLflow client: made quiet, made impatient, its exceptions made ours."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from snakemake_repro.backends.journal import host_in_name
from snakemake_repro.backends.mlflow_files import make_store
from snakemake_repro.errors import TrackingError
from snakemake_repro.logic.redaction import strip_credentials

_DEFAULT_STORE = "mlflow.db"
_DEFAULT_ARTIFACTS = "mlruns"
_SQLITE = "sqlite:///"
_FRESH_STORE_PATIENCE_S = 120
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_QUIET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    _RETRIES: "2",
    "GIT_PYTHON_REFRESH": "quiet",
}


def resolve_tracking_uri(explicit: str | None, environ: Mapping[str, str], workdir: Path) -> str:
    """Return where runs go: as told, as MLflow is told, or MLflow's own store in the directory.

    MLflow without configuration keeps ``mlflow.db`` in the current directory, or goes on with a
    file store ``mlruns`` that is there from earlier; a bare ``mlflow ui`` shows the same. A
    relative place is one below the working directory, whoever delivers there.
    """
    uri = explicit or environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        if _is_file_store(workdir / _DEFAULT_ARTIFACTS):
            return str(workdir / _DEFAULT_ARTIFACTS)
        return f"{_SQLITE}{workdir / _DEFAULT_STORE}"
    if uri.startswith(_SQLITE):
        return f"{_SQLITE}{workdir / uri.removeprefix(_SQLITE)}"
    if "://" not in uri and uri != "databricks":
        return str(workdir / uri.removeprefix("file:"))
    return uri


def recorded_uri(uri: str, workdir: Path) -> str | None:
    """Return the URI as a run's record keeps it.

    The store in the working directory is left out: it moves with the directory.
    """
    own = uri == resolve_tracking_uri(None, {}, workdir)
    return None if own else strip_credentials(uri)


def connect(uri: str, *, create: bool) -> Any:
    """Return an ``MlflowClient``; a fresh SQLite store is made by one process at a time.

    Args:
        uri: Tracking URI.
        create: Make a store in a file that is not there yet; without, that is an error.

    Raises:
        TrackingError: The store cannot be reached.
    """
    database = _database(uri)
    if database is not None and not database.exists() and not create:
        raise TrackingError(
            f"there is no MLflow store at {uri}",
            hint="--tracking-uri names a server (http://...) or a store (sqlite:///PATH).",
        )
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with translated(uri):
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        with _one_at_a_time(uri):
            if database is not None and not database.exists():
                _make(database)
            client = MlflowClient(tracking_uri=uri)
            # several processes that open a new store at once break its migration
            client.search_experiments(max_results=1)
    return client


@contextmanager
def unrepeated() -> Iterator[None]:
    """Send each request once.

    MLflow repeats a request whose answer was lost; a creation would then come through twice. It
    reads the setting from the environment at each request.
    """
    before = os.environ.get(_RETRIES)
    os.environ[_RETRIES] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_RETRIES]
        else:
            os.environ[_RETRIES] = before


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Raise ``TrackingError`` for what MLflow, its database or its transport raise."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as exc:
        if not _is_foreign(exc):
            raise
        reason = str(exc).strip().splitlines() or [type(exc).__name__]
        raise TrackingError(
            f"the MLflow store at {strip_credentials(uri)} cannot be used: "
            f"{strip_credentials(reason[0])[:400]}",
            hint="The record is safe in .repro; `repro sync` delivers it when the store is back.",
        ) from exc


def artifact_root(uri: str) -> str | None:
    """Return where artifacts of a new experiment belong, or ``None`` to leave it to the store.

    A bare ``mlflow ui`` serves ``mlruns`` beside the database; the client would take the current
    directory of this process.
    """
    database = _database(uri)
    return None if database is None else _artifacts_beside(database)


@contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    database = _database(uri)
    if database is None:
        yield
        return
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(_lock_of(database), timeout=_FRESH_STORE_PATIENCE_S):
            yield
    except Timeout as exc:
        raise TrackingError(f"{database} is locked by another process") from exc


def _make(database: Path) -> None:
    """Make a new SQLite store beside its place, and put it there when it is complete.

    MLflow's own first migration is not atomic: killed in its midst, it leaves a database that no
    later one can mend ("table already exists"). The caller holds the lock.
    """
    # one name for each machine, whose lock is held: what a killed process left is found again
    fresh = database.with_name(f".{database.name}.new-{host_in_name()}")
    for left in (fresh, fresh.with_name(f"{fresh.name}-journal")):
        left.unlink(missing_ok=True)
    make_store(fresh, _artifacts_beside(database))
    fresh.replace(database)


def _artifacts_beside(database: Path) -> str:
    return (database.parent / _DEFAULT_ARTIFACTS).as_uri()


def _database(uri: str) -> Path | None:
    """Return the file of a SQLite store, ``None`` for other stores."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]).absolute()


def _lock_of(database: Path) -> Path:
    """Return a lock outside the user's directory: it concerns processes of this machine only."""
    digest = hashlib.sha256(os.fsencode(database)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"repro-mlflow-{os.getuid()}-{digest}.lock")


def _is_foreign(exc: Exception) -> bool:
    modules = {base.__module__.partition(".")[0] for base in type(exc).__mro__}
    return isinstance(exc, OSError) or bool(
        modules & {"mlflow", "sqlalchemy", "requests", "urllib3", "alembic"}
    )


def _is_file_store(directory: Path) -> bool:
    """Tell whether MLflow would go on with a file store there, by its own rule."""
    try:
        return any(
            entry.name.isdigit() and os.path.lexists(entry / "meta.yaml")
            for entry in directory.iterdir()
        )
    except OSError:
        return False
