"""Execute trials in a process that stays: started as a program by ``slots``, one line a trial.

Requests and replies are JSON lines on standard input and output. A function that reports a value
waits for the answer whether it is to go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import json
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from snakemake_repro.wrappers import folder_of
from snakemake_repro.wrappers.tuning.lines import send, take_streams


class Pruned(Exception):  # noqa: N818 - it is no error; Optuna calls it so
    """The trial is not worth going on."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What a function is given beside its parameters.

    Attributes:
        number: 0 for the first trial.
        seed: Of this trial: the search's seed plus its number.
        threads: That it may use.
        input: The rule's named input files.
        directory: Of this trial alone; removed unless it is the best.
        model: Where a model goes that the rule's ``model=`` is to have.
    """

    number: int
    seed: int
    threads: int
    input: Mapping[str, str]
    directory: Path
    model: Path
    _data: Callable[[str], Any]
    _ask: Callable[[int, float], bool]

    def data(self, name: str) -> Any:
        """Return an input that all trials share, mapped into memory and read once.

        Returns:
            A NumPy array for ``.npy``, a ``pyarrow.Table`` for ``.parquet``.

        Raises:
            KeyError: There is no such input.
        """
        return self._data(name)

    def report(self, value: float, step: int) -> None:
        """Report the first objective in the middle of training.

        Raises:
            Pruned: The search ends this trial; let it pass.
        """
        if self._ask(int(step), float(value)):
            raise Pruned


class Names(list[str]):
    """Files or values by name, as Snakemake's own ``Namedlist`` gives them to a wrapper."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Take the names with their values, in order."""
        super().__init__(values.values())
        self._values = dict(values)

    def __getattr__(self, name: str) -> Any:
        """Return what has a name."""
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def get(self, name: str, default: Any = None) -> Any:
        """Return what has a name, or the default."""
        return self._values.get(name, default)

    def keys(self) -> Any:
        """Return the names."""
        return self._values.keys()

    def items(self) -> Any:
        """Return the names with their values."""
        return self._values.items()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What a wrapper takes for Snakemake's object."""

    rule: str
    input: Names
    output: Names
    params: Names
    log: Names
    wildcards: Names
    resources: Names
    config: Mapping[str, Any]
    threads: int


def main() -> None:
    """Serve until standard input closes."""
    requests, replies = take_streams()
    for line in requests:
        reply = _run(json.loads(line), requests, replies)
        send(replies, reply)


def _run(request: Mapping[str, Any], requests: IO[str], replies: IO[str]) -> dict[str, Any]:
    os.environ.update(request["environ"])

    def ask(step: int, value: float) -> bool:
        send(replies, {"report": [step, value]})
        return bool(json.loads(requests.readline())["prune"])

    try:
        if request["kind"] == "wrapper":
            _wrapper(request)
            return {"ended": None}
        return {"ended": _plain(_function(request, ask))}
    except Pruned:
        return {"ended": None}
    except SystemExit as exc:
        if exc.code in (None, 0):
            return {"ended": None}
        sys.stderr.write(f"trial {request['number']}: {exc.code}\n")
        return {"problem": str(exc.code)}
    except Exception as exc:  # noqa: BLE001 - a trial may raise anything; the search goes on
        traceback.print_exc()
        return {"problem": f"{type(exc).__name__}: {exc}"}


def _function(request: Mapping[str, Any], ask: Callable[[int, float], bool]) -> Any:
    directory = Path(request["directory"])
    trial = Trial(
        number=request["number"],
        seed=request["seed"],
        threads=request["threads"],
        input=request["inputs"],
        directory=directory,
        model=Path(request["model"]),
        _data=lambda name: _mapped(request["data"][name]),
        _ask=ask,
    )
    return _load(request["what"])(request["params"], trial)


def _wrapper(request: Mapping[str, Any]) -> None:
    none = Names({})
    job = Job(
        rule="tune",
        input=Names(request["inputs"]),
        output=Names(
            {"model": request["model"], "metrics": str(Path(request["directory"], "metrics.json"))}
        ),
        params=Names({"seed": request["search_seed"], **request["params"]}),
        log=none,
        wildcards=none,
        resources=none,
        config={},
        threads=request["threads"],
    )
    code = folder_of(request["what"]) / "wrapper.py"
    runpy.run_path(str(code), init_globals={"snakemake": job}, run_name="__main__")


@functools.cache
def _load(name: str) -> Callable[..., Any]:
    place, _, function = name.rpartition(":")
    if not place.endswith(".py"):
        sys.path.insert(0, str(Path.cwd()))
        return _attribute(importlib.import_module(place), function)
    path = Path(place).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return _attribute(module, function)


def _attribute(module: ModuleType, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(module, name)
    return found


@functools.cache
def _mapped(path: str) -> Any:
    if path.endswith(".npy"):
        import numpy as np

        return np.load(path, mmap_mode="r")
    import pyarrow as pa

    with pa.memory_map(path) as source:
        return pa.ipc.open_file(source).read_all()


def _plain(value: Any) -> Any:
    """Return numbers of any library as JSON has them."""
    if isinstance(value, Mapping):
        return {str(name): float(number) for name, number in value.items()}
    if isinstance(value, list | tuple):
        return [float(number) for number in value]
    return float(value)


@contextlib.contextmanager
def _quiet_end() -> Iterator[None]:
    """End without a word when the search is gone, which then reads no reply."""
    try:
        yield
    except BrokenPipeError:
        os._exit(1)


if __name__ == "__main__":
    with _quiet_end():
        main()
