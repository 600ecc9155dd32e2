"""Workers that train one model together, with Ray Train on a Ray of the job's own.

The job may hold all CPUs of the cluster that it runs on: a training that asked there for CPUs of
its own would wait for ever. So its workers share the job's threads, on the job's node.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import snakemake_repro
from snakemake_repro.backends.ray_settings import make_directory, set_process_defaults, start_here
from snakemake_repro.wrappers.families.base import Curves, Family, SharedFamily
from snakemake_repro.wrappers.families.shares import Place
from snakemake_repro.wrappers.problems import WrapperError

_TRAINERS = {"xgboost": "XGBoostTrainer", "lightgbm": "LightGBMTrainer", "torch": "TorchTrainer"}
"""Module of Ray Train -> its class."""

_OBJECT_STORE_BYTES = 128 * 1024 * 1024
"""Besides the rows; Ray's default takes 30 % of the memory."""

_SETTINGS = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # processes that are of no use here
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    # a machine may be busy
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    "GLOO_SOCKET_IFNAME": "lo",
}


class Crew:
    """Those who train: this process alone, or workers."""

    def __init__(self, count: int, directory: str | None = None) -> None:
        """Set it up.

        Args:
            count: How many they are.
            directory: Where Ray Train keeps its files; ``None`` for this process alone.
        """
        self.count = count
        self._directory = directory

    def fit(
        self, family: Family, estimator: Any, rows: Any, target: Any, *, weight: Any, valid: Any
    ) -> tuple[Any, Curves]:
        """Return a fitted estimator and its curves; arguments as of ``Family.fit``.

        Raises:
            RuntimeError: Workers failed; the message is that of the first.
        """
        if self._directory is None:
            return estimator, family.fit(estimator, rows, target, weight, valid)
        assert isinstance(family, SharedFamily)
        from ray import train

        module = importlib.import_module(f"ray.train.{family.trainer}")
        trainer = getattr(module, _TRAINERS[family.trainer])(
            _train_share,
            train_loop_config={
                "family": family,
                "estimator": estimator,
                "rows": rows,
                "target": target,
                "weight": weight,
                "valid": valid,
            },
            scaling_config=train.ScalingConfig(num_workers=self.count),
            run_config=train.RunConfig(storage_path=self._directory),
        )
        interrupt = signal.getsignal(signal.SIGINT)
        try:
            fitted: tuple[Any, Curves] = trainer.fit().return_value
        except train.TrainingFailedError as exc:
            raise RuntimeError(_reason(exc)) from exc
        finally:
            # Ray Train leaves a handler that asks a process which has ended, in the main thread
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, interrupt)
        return fitted


@contextlib.contextmanager
def crew_of(count: int, *, nbytes: int) -> Iterator[Crew]:
    """Start those who train, and end them.

    Args:
        count: How many workers; 1 for this process alone, without Ray.
        nbytes: Size of the rows.

    Raises:
        WrapperError: Ray is missing, or cannot be started.
    """
    if count == 1:
        yield Crew(1)
        return
    set_process_defaults(loopback=True)
    os.environ.update(_SETTINGS)
    try:
        import ray
        import ray.train
    except ImportError as exc:
        raise WrapperError(
            f"params: num_workers={count} needs Ray Train, and this environment lacks {exc.name}",
            hint="add ray[train] to the environment, or leave num_workers= out",
        ) from exc
    directory = make_directory("repro-workers")
    os.environ["PYTHONPATH"] = _python_path(directory / "python")
    try:
        _start(count, str(directory), _OBJECT_STORE_BYTES + 2 * nbytes)
        yield Crew(count, str(directory / "train"))
    finally:
        ray.shutdown()
        shutil.rmtree(directory, ignore_errors=True)


def _python_path(folder: Path) -> str:
    """Return a ``PYTHONPATH`` with which Ray's processes find this package, and nothing beside it.

    A job has it at the end of ``sys.path``, maybe among packages of another environment.
    """
    folder.mkdir()
    (folder / snakemake_repro.__name__).symlink_to(Path(snakemake_repro.__file__).parent)
    inherited = os.environ.get("PYTHONPATH")
    return str(folder) if not inherited else f"{folder}{os.pathsep}{inherited}"


def _start(count: int, directory: str, store: int, *, again: bool = True) -> None:
    import ray

    try:
        start_here(directory, count, store, num_gpus=0, logging_level=logging.ERROR)
    except Exception as exc:  # Ray raises bare ones, too
        if again and "timed out" in str(exc):
            # Ray gives itself half a minute, which a busy machine may exceed
            ray.shutdown()
            _start(count, directory, store, again=False)
            return
        raise WrapperError(
            f"params: num_workers={count}: Ray cannot be started: {exc}",
            hint="is there free memory, and space in /tmp?",
        ) from exc


def _train_share(job: dict[str, Any]) -> tuple[Any, Curves]:
    """Train as one of the workers; what the first returns is taken."""
    from ray import train

    context = train.get_context()
    place = Place(rank=context.get_world_rank(), count=context.get_world_size())
    family: SharedFamily = job["family"]
    return family.fit_share(
        job["estimator"], job["rows"], job["target"], job["weight"], job["valid"], place=place
    )


def _reason(error: Any) -> str:
    """Return what the first worker that failed said."""
    failures = getattr(error, "worker_failures", None) or {0: error}
    first = failures[min(failures)]
    # Ray Train wraps what was raised together with its traceback
    return str(getattr(first, "_base_exc", first))
