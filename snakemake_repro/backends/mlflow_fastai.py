"""What MLflow's autologging lacks for fastai: parameters and metrics of each ``Learner.fit*``.

This module runs in whatever environment the job has.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_LEARNER = "fastai.learner"
_MODULES = (_LEARNER, "fastai.callback.schedule")
"""Those that define ways to fit a learner."""

_LONGEST = 500
"""Characters of a parameter that every version of MLflow takes."""


class FastaiRecorder:
    """Records into MLflow's active run what learners of fastai do between ``begin`` and ``end``.

    Epochs are counted through: those of a second ``fit`` go on where the first one ended, and its
    parameters have their number behind their names (``lr.2``).
    """

    def __init__(self, mlflow: Any) -> None:
        """Prepare for a run that MLflow has begun, or will have when a learner is fitted."""
        self._mlflow = mlflow
        self._originals: dict[str, Any] = {}
        self._active = False
        self._busy = False
        self._fits = 0
        self._epochs = 0

    def begin(self) -> None:
        """Record from now on, also if fastai is imported later."""
        from mlflow.utils.import_hooks import register_post_import_hook

        self._active = True
        for name in _MODULES:
            register_post_import_hook(self._watch, name)

    def end(self) -> None:
        """Leave fastai as it was."""
        self._active = False
        if self._originals:
            learner = sys.modules[_LEARNER].Learner
            for name, original in self._originals.items():
                setattr(learner, name, original)
            self._originals.clear()

    def _watch(self, _module: Any) -> None:
        if not self._active:
            return
        learner = sys.modules[_LEARNER].Learner
        for name, value in list(vars(learner).items()):
            if (name.startswith("fit") or name == "fine_tune") and name not in self._originals:
                self._originals[name] = value
                setattr(learner, name, self._watched(value))

    def _watched(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return a way to fit a learner that is recorded, unless another one calls it."""

        @functools.wraps(original)
        def fit(learner: Any, *args: Any, **kwargs: Any) -> Any:
            if self._busy:
                return original(learner, *args, **kwargs)
            self._busy = True
            try:
                given = inspect.signature(original).bind(learner, *args, **kwargs)
                given.apply_defaults()
                asked = {"fit": original.__name__, **dict(list(given.arguments.items())[1:])}
                watcher = _callback(functools.partial(self._params, asked), self._log)
                with learner.added_cbs(watcher):
                    return original(learner, *args, **kwargs)
            finally:
                self._busy = False

        return fit

    def _params(self, asked: Mapping[str, Any], learner: Any) -> None:
        self._fits += 1
        suffix = "" if self._fits == 1 else f".{self._fits}"
        named = {name: value for name, value in asked.items() if name != "kwargs"}
        named |= asked.get("kwargs", {})
        named |= {
            "model": learner.model,
            # fastai's own losses are wrappers of PyTorch's
            "loss_func": getattr(learner.loss_func, "func", learner.loss_func),
            "opt_func": learner.opt_func,
            "batch_size": getattr(learner.dls, "bs", None),
        }
        texts = {f"{n}{suffix}": _text(v)[:_LONGEST] for n, v in named.items()}
        self._send(lambda: self._mlflow.log_params(texts))

    def _log(self, learner: Any) -> None:
        self._send(lambda: self._mlflow.log_metrics(dict(_values(learner)), step=self._epochs))
        self._epochs += 1

    def _send(self, send: Callable[[], Any]) -> None:
        """Tell MLflow something; as in its own flavours a training does not fail over that."""
        from mlflow.utils.autologging_utils import is_testing

        try:
            send()
        except self._mlflow.exceptions.MlflowException as exc:
            if is_testing():
                raise
            logging.getLogger(__name__).warning("what fastai did is not recorded: %s", exc)


def _callback(begun: Callable[[Any], None], done: Callable[[Any], None]) -> Any:
    """Return a callback that tells of a fit and of each of its epochs; its base is imported late.

    A search for a learning rate is no fit. Of the fits that a single call makes (``fine_tune``)
    only the first has parameters to tell.
    """
    from fastai.callback.core import Callback

    class Watcher(Callback):  # type: ignore[misc]  # untyped where not installed
        """Stands behind fastai's own ``Recorder``."""

        order = 60

        def __init__(self) -> None:
            super().__init__()
            self.told = False

        def before_fit(self) -> None:
            self.run = not hasattr(self.learn, "lr_finder")
            if self.run and not self.told:
                self.told = True
                begun(self.learn)

        def after_epoch(self) -> None:
            done(self.learn)

    return Watcher()


def _values(learner: Any) -> Iterator[tuple[str, float]]:
    """Yield what fastai's ``Recorder`` says of the last epoch, and the learning rate at its end."""
    yield "lr", float(learner.opt.hypers[-1]["lr"])
    recorder = getattr(learner, "recorder", None)
    if recorder is None or not recorder.values:
        return
    # the first name is that of the epoch, and the last one, of the time, has no value here
    for name, value in zip(recorder.metric_names[1:], recorder.values[-1], strict=False):
        if value is not None:
            yield name, float(value)


def _text(value: Any) -> str:
    """Return a parameter in words: of functions, classes and objects the name only."""
    if value is None or isinstance(value, bool | int | float | str | slice):
        return str(value)
    if isinstance(value, list | tuple):
        return str([_text(one) for one in value])
    if isinstance(value, functools.partial):
        return _text(value.func)
    return str(getattr(value, "__name__", type(value).__name__))
