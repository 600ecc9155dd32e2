"""What a job says of itself: metrics, parameters, tags, artifacts, and the seeds it was given.

This file needs nothing but Python 3.7 and its standard library, so that it can be put into any
environment. Inside a job of ``--executor ray`` it adds lines to ``$REPRO_METRICS`` and files to
``$REPRO_ARTIFACTS``, and that is all. Under any other executor, or without Snakemake, it records
the job by itself if the rest of this package can be imported, and otherwise warns once and lets
the job go on.
"""

from __future__ import annotations

import importlib.util
import json
import math
import operator
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from types import TracebackType
from typing import Any, Callable, Mapping  # noqa: UP035 - Python 3.7

__all__ = ["Tracking", "track"]

_JOB = "REPRO_JOB"
_METRICS = "REPRO_METRICS"
_ARTIFACTS = "REPRO_ARTIFACTS"
_OWN_PYTHON = (3, 11)
_NUMPY_SEEDS = 2**32
_RESERVED = ("step", "timestamp")

_warned: set[str] = set()


def track(snakemake: Any = None, seed: int | None = None, *, autolog: bool = False) -> Tracking:
    """Record the block of code that follows.

    ::

        with track(snakemake, seed=1) as run:
            run.log_metric("auc", 0.97)

    Seeds, when one is given, are set on entering the block: ``random``, NumPy wherever it is
    installed (it is imported for that), PyTorch and TensorFlow if they are imported already. A
    library that takes its seed as an argument must still be given it: ``run.seed``. Libraries that
    are imported already and count their own threads are given those of the rule.

    An exception that leaves the block marks the attempt as failed and goes on its way.

    Args:
        snakemake: The object of that name in a script or wrapper; ``None`` outside of Snakemake,
            where the script becomes a run of its own.
        seed: Any integer; ``None`` sets and records no seed.
        autolog: Let MLflow record what it knows how to record of the libraries in use
            (``mlflow.autolog``), and of fastai: parameters, metrics of each step, figures, but no
            models.

    Raises:
        TypeError: The seed is no integer.
        ImportError: On entering the block: autologging was asked for, and the environment has no
            MLflow.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - the one way to know the script that calls
    names = {key: frame.f_globals.get(key) for key in ("__file__", "__real_file__")}
    given = None if seed is None else operator.index(seed)
    return Tracking(snakemake, given, names, autolog=autolog)


class Tracking:
    """A block of code under observation; made by ``track``.

    Attributes:
        seed: The one that was given, for libraries that take it as an argument.
    """

    def __init__(
        self,
        snakemake: Any,
        seed: int | None,
        script: Mapping[str, Any],
        *,
        autolog: bool,
    ) -> None:
        self.seed = seed
        self._snakemake = snakemake
        self._autolog = autolog
        self._library: Any = None
        self._script = script
        self._path: str | None = None
        self._artifacts: str | None = None
        self._attempt: Any = None
        self._outer: dict[str, str | None] = {}
        self._scratch: str | None = None

    def __enter__(self) -> Tracking:  # noqa: PYI034 - Python 3.7 has no Self
        if os.environ.get(_JOB) and os.environ.get(_METRICS):
            self._path = os.environ[_METRICS]
            self._artifacts = os.environ.get(_ARTIFACTS)
        else:
            self._begin()
        _limit_threads(getattr(self._snakemake, "threads", None))
        if self.seed is not None:
            self._write({"$seeds": _set_seeds(self.seed)})
        if self._autolog and self._path is not None:
            self._begin_autologging()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_autologging()
        self._end(error)

    def log_metric(self, name: str, value: Any, step: int | None = None) -> None:
        """Record one number; see ``log_metrics``."""
        self.log_metrics({name: value}, step=step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record numbers under names.

        A number that is not finite has no place among metrics: it is recorded as a tag of that
        name with the text ``nan``, ``inf`` or ``-inf``.

        Args:
            metrics: Numbers of any type that ``float`` takes, except text.
            step: Position in a series (epoch, iteration); 0 by default.

        Raises:
            TypeError: A value is no number, or the step no integer.
            ValueError: A name is empty, reserved (``step``, ``timestamp``) or begins with ``$``.
        """
        line: dict[str, Any] = {}
        tags = {}
        suffix = "" if step is None else f" (step {operator.index(step)})"
        for name, value in metrics.items():
            _check_name(name)
            if isinstance(value, (str, bytes, bytearray)):
                raise TypeError(f"metric {name!r} is not a number: {value!r}")
            number = float(value)
            if math.isfinite(number):
                line[name] = number
            else:
                tags[name] = repr(number) + suffix
        if line:
            if step is not None:
                line["step"] = operator.index(step)
            line["timestamp"] = int(time.time() * 1000)
            self._write(line)
        if tags:
            self._write({"$tags": tags})

    def log_param(self, name: str, value: Any) -> None:
        """Record one parameter; see ``log_params``."""
        self.log_params({name: value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters: plain data as it is, anything else by the name of its type."""
        self._write({"$params": {str(name): _plain(value) for name, value in params.items()}})

    def set_tag(self, name: str, value: Any) -> None:
        """Record a label in text form."""
        self._write({"$tags": {str(name): str(value)}})

    def log_trial(
        self, number: int, params: Mapping[str, Any], metrics: Any, state: str = "complete"
    ) -> None:
        """Record one trial of a search for parameters; MLflow shows it as a run below this job's.

        Args:
            number: Of the trial, from 0.
            params: What it was given.
            metrics: Mappings of names to numbers, each with its ``step`` if it has one.
            state: ``complete``, ``pruned`` or ``failed``.
        """
        given = {str(name): _plain(value) for name, value in params.items()}
        lines = [line for line in metrics if all(map(math.isfinite, line.values()))]
        about = {"number": number, "state": state, "params": given, "metrics": lines}
        self._write({"$trial": about})

    def log_artifact(self, path: Any, name: str | None = None) -> None:
        """Keep a copy of a file or a directory with the record of this job.

        Args:
            path: Of the file.
            name: To be known by, with ``/`` between folders; by default its own.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The name leads elsewhere.
        """
        source = os.path.abspath(os.fspath(path))  # noqa: PTH100
        if not os.path.exists(source):  # noqa: PTH110
            raise FileNotFoundError(f"there is no {source} to be logged")

        def copy(target: str) -> None:
            if os.path.isdir(source):  # noqa: PTH112
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)

        self._keep(os.path.basename(source) if name is None else name, copy)  # noqa: PTH119

    def log_figure(self, figure: Any, name: str) -> None:
        """Keep a figure of Matplotlib, or of Plotly as HTML; the name's ending says in which form.

        Raises:
            TypeError: It is no figure.
            ValueError: The name leads elsewhere.
        """
        write = getattr(figure, "write_html" if name.endswith(".html") else "savefig", None)
        if write is None:
            raise TypeError(f"expected a figure for {name}, got {type(figure).__name__}")
        self._keep(name, write)

    def log_model(
        self, model: Any, name: str = "model", example: Any = None, registered: str | None = None
    ) -> None:
        """Keep a trained model in MLflow's format; MLflow loads it as ``runs:/<run>/<name>``.

        Its requirements are what is installed here, at the versions it is.

        Args:
            model: Of scikit-learn, XGBoost, LightGBM, Keras or PyTorch.
            name: To be known by.
            example: A few rows that it takes: the saved model is tried with them, and its
                signature follows from that.
            registered: A name in MLflow's model registry; each call gives it a new version.

        Raises:
            ImportError: MLflow is not installed here.
            TypeError: The model is of no kind that can be saved.
            ValueError: The name leads elsewhere.
        """
        if self._path is None:
            return
        import pathlib

        from snakemake_repro.backends.mlflow_models import save_model

        with tempfile.TemporaryDirectory(prefix="repro-") as directory:
            place = os.path.join(directory, "model")  # noqa: PTH118
            about = {"flavour": save_model(model, pathlib.Path(place), example)}
            if registered is not None:
                about["registered"] = str(registered)
            self.log_artifact(place, name)
        self._write({"$models": {name: about}})

    def _keep(self, name: str, write: Callable[[str], Any]) -> None:
        """Let something be written among the artifacts; a job does not fail over a full disk."""
        steps = name.split("/")
        if not all(step and step not in (".", "..") for step in steps):
            raise ValueError(f"expected a relative path as name, got {name!r}")
        if self._artifacts is None:
            return
        target = os.path.join(self._artifacts, *steps)  # noqa: PTH118
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            write(target)
        except OSError as exc:
            _warn(f"artifact {name} of this job is lost: {exc}")

    def _begin_autologging(self) -> None:
        import pathlib

        from snakemake_repro.backends.mlflow_autologging import Autologging

        place = tempfile.mkdtemp(prefix="repro-")
        try:
            self._library = Autologging(pathlib.Path(place))
            self._library.begin()
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise

    def _end_autologging(self) -> None:
        library, self._library = self._library, None
        if library is None:
            return
        try:
            lines, artifacts = library.end()
            for line in lines:
                self._write(line)
            for entry in () if artifacts is None else artifacts.iterdir():
                self.log_artifact(entry)
        except Exception as exc:  # noqa: BLE001 - the job's own work is done
            _warn(f"what MLflow recorded by itself is lost: {_reason(exc)}")
        finally:
            shutil.rmtree(library.directory, ignore_errors=True)

    def _begin(self) -> None:
        """Record by ourselves, where that is possible."""
        if os.environ.get(_JOB):
            _warn("$REPRO_JOB is set but $REPRO_METRICS is not: this job's metrics are lost")
            return
        if sys.version_info < _OWN_PYTHON:
            _warn(f"nothing is recorded: that needs Python {_OWN_PYTHON[0]}.{_OWN_PYTHON[1]}")
            return
        try:
            from snakemake_repro.operations import standalone
        except ImportError as exc:
            _warn(f"nothing is recorded: {exc}")
            return
        try:
            self._attempt = standalone.begin(self._snakemake, self._script)
            self._scratch = tempfile.mkdtemp(prefix="repro-")
        except Exception as exc:  # noqa: BLE001 - whatever it is, the job is more important
            self._attempt = None
            _warn(f"nothing is recorded: {_reason(exc)}")
            return
        self._path = os.path.join(self._scratch, "metrics.jsonl")  # noqa: PTH118
        self._artifacts = os.path.join(self._scratch, "artifacts")  # noqa: PTH118
        os.mkdir(self._artifacts)  # noqa: PTH102
        ours = {
            _JOB: json.dumps(self._attempt.description),
            _METRICS: self._path,
            _ARTIFACTS: self._artifacts,
        }
        # processes that the block starts report to the same place
        self._outer = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)

    def _end(self, error: BaseException | None) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        for name, value in self._outer.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        try:
            attempt.end(_lines(self._path), self._artifacts, error)
            from snakemake_repro.recorder import start_recorder

            start_recorder(attempt.workdir, attempt.tracking_uri)
        except Exception as exc:  # noqa: BLE001 - the job's own work is done
            _warn(f"the record of this job is incomplete: {_reason(exc)}")
        finally:
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)

    def _write(self, line: Mapping[str, Any]) -> None:
        """Append one line in one write, which keeps several processes apart."""
        if self._path is None:
            return
        data = json.dumps(line).encode("ascii") + b"\n"
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                if os.write(fd, data) != len(data):
                    _warn("the disk is full: metrics of this job are lost")
            finally:
                os.close(fd)
        except OSError as exc:
            _warn(f"metrics of this job are lost: {exc}")


def _set_seeds(seed: int) -> dict[str, int]:
    """Seed the global generators; return what each of them was given."""
    seeds = {"random": seed}
    random.seed(seed)
    if importlib.util.find_spec("numpy") is not None:
        import numpy as np

        seeds["numpy"] = seed % _NUMPY_SEEDS
        np.random.seed(seeds["numpy"])  # noqa: NPY002 - the one that other libraries use
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
        seeds["torch"] = seed
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        tensorflow.random.set_seed(seed)
        seeds["tensorflow"] = seed
    if os.environ.get("PYTHONHASHSEED", "").isdigit():
        seeds["PYTHONHASHSEED"] = int(os.environ["PYTHONHASHSEED"])
    return seeds


def _limit_threads(threads: int | None) -> None:
    """Give loaded libraries the rule's threads; our executor has told all others."""
    if threads is None:
        return
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    pools = sys.modules.get("threadpoolctl")  # comes with scikit-learn
    if pools is not None:
        pools.threadpool_limits(threads)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or name.startswith("$") or name in _RESERVED:
        raise ValueError(
            f"expected a metric name that is neither empty nor one of {', '.join(_RESERVED)} and "
            f"does not begin with $, got {name!r}"
        )


def _plain(value: Any) -> Any:
    """Return JSON for a value; what is not plain data is named by its type."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return _plain(value.item())
    return {"type": f"{type(value).__module__}.{type(value).__qualname__}"}


def _lines(path: str | None) -> Any:
    try:
        with open(path or "", "rb") as file:  # noqa: PTH123
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def _reason(exc: Exception) -> str:
    """Return what happened: our own errors say it, of others the type may say more."""
    return str(exc) if hasattr(exc, "hint") else f"{type(exc).__name__}: {exc}"


def _warn(message: str) -> None:
    """Warn, but only once per process and cause."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn("snakemake-repro: " + message, RuntimeWarning, stacklevel=4)
