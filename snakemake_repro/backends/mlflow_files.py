"""MLflow's embedded stores: SQLite files with every table and nothing in them.

This module runs in whatever environment a job has; of this package it imports nothing.
"""

from __future__ import annotations

from pathlib import Path


def make_store(place: Path, artifacts: str) -> None:
    """Make an empty store; killed meanwhile, it leaves a file that no later one can mend.

    Args:
        place: Of the database, where nothing is.
        artifacts: URI of the directory for its artifacts.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"sqlite:///{place}", artifacts)
    store.engine.dispose()
