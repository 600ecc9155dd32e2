"""What a rule asks of ``tune``, taken from Snakemake's object and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.problems import WrapperError, listed, suggest
from snakemake_repro.wrappers.tuning import space as spaces

KINDS = ("function", "script", "wrapper")
SAMPLERS = ("tpe", "random", "cmaes", "grid", "qmc")
PRUNERS = ("none", "median", "percentile", "sha", "hyperband")
_DIRECTIONS = ("minimize", "maximize")
_ORDER = "order"
"""Name of the input or output with the order of an asynchronous search."""
_OUTPUTS = ("best", "trials", "model", "figures", _ORDER)
_KNOWN = (
    "trial", "space", "metric", "direction", "sampler", "sampler_options", "pruner",
    "pruner_options", "seed", "trials", "time_s", "patience", "parallel", "cpus", "gpus",
    "timeout_s", "asynchronous",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A search.

    Attributes:
        trial: What is executed: its kind, and what it is given.
        space: As it was written.
        choose: Makes the parameters of a trial.
        objectives: Names of the metrics, with ``minimize`` or ``maximize``.
        sampler: One of ``SAMPLERS``, with its options.
        pruner: One of ``PRUNERS``, with its options.
        trials: How many at most.
        time_s: No batch or trial begins after so many seconds; ``None`` for no limit.
        patience: It ends after so many trials without a better one; ``None`` for never.
        parallel: Trials of one batch: the sampler knows the results of earlier batches only. An
            asynchronous search has no batches; it runs so many trials at once at most.
        cpus: Threads of one trial.
        gpus: Of one trial.
        threads: Of the job; as many trials as fit into them run at once.
        timeout_s: After which a trial fails; ``None`` for no limit.
        asynchronous: A trial begins as soon as a slot is free, and knows all results so far.
        inputs: Files by name that every trial gets.
        outputs: Files by name.
        repeats: File with the order of the search that is repeated; ``None`` for a new search.
    """

    trial: Mapping[str, Any]
    space: Mapping[str, Any]
    choose: Callable[[spaces.Chooser], dict[str, Any]]
    objectives: tuple[tuple[str, str], ...]
    sampler: tuple[str, Mapping[str, Any]]
    pruner: tuple[str, Mapping[str, Any]]
    seed: int
    trials: int
    time_s: float | None
    patience: int | None
    parallel: int
    cpus: int
    gpus: int
    threads: int
    timeout_s: float | None
    asynchronous: bool
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    repeats: str | None

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        return next(kind for kind in KINDS if kind in self.trial)

    @property
    def at_once(self) -> int:
        """Trials that run at the same time in the job's own threads.

        It decides nothing but how long it takes, unless a new search is asynchronous.
        """
        return max(1, min(self.parallel, self.threads // self.cpus))


def parse(snakemake: Any) -> Order:
    """Return what the rule asks for.

    Raises:
        WrapperError: It makes no sense.
    """
    params = requests.named_params(snakemake.params)
    for name in params:
        if name not in _KNOWN:
            raise WrapperError(
                f"params: expected some of {', '.join(_KNOWN)}, got {name!r}",
                hint=suggest(name, _KNOWN),
            )
    objectives = _objectives(params)
    pruner = _one_of(params, "pruner", PRUNERS, "none")
    outputs = _outputs(snakemake.output)
    if len(objectives) > 1:
        _check_several(params, pruner[0], outputs)
    space = params.get("space")
    inputs = {
        name: requests.required_path(snakemake.input, name, "input")
        for name in snakemake.input.keys()  # noqa: SIM118 - it iterates over files
    }
    asynchronous = _asynchronous(params, inputs, outputs)
    return Order(
        trial=_trial(params),
        space=space if isinstance(space, Mapping) else {},
        choose=spaces.parse(space),
        objectives=objectives,
        sampler=_one_of(params, "sampler", SAMPLERS, "tpe"),
        pruner=pruner,
        seed=requests.seed_of(snakemake),
        trials=requests.whole(params, "trials", default=50, low=1),
        time_s=_positive(params, "time_s"),
        patience=None
        if params.get("patience") is None
        else requests.whole(params, "patience", default=1, low=1),
        parallel=requests.whole(params, "parallel", default=1, low=1),
        cpus=requests.whole(params, "cpus", default=1, low=1),
        gpus=requests.whole(params, "gpus", default=0, low=0),
        threads=int(snakemake.threads),
        timeout_s=_positive(params, "timeout_s"),
        asynchronous=asynchronous,
        inputs={name: path for name, path in inputs.items() if name != _ORDER},
        outputs=outputs,
        repeats=inputs.get(_ORDER),
    )  # fmt: skip


def _outputs(files: Any) -> dict[str, str]:
    found = {name: requests.path_of(files, name) for name in _OUTPUTS}
    outputs = {name: path for name, path in found.items() if path is not None}
    outputs["best"] = requests.required_path(files, "best", "output")
    table = outputs.get("trials")
    if table is not None and Path(table).suffix not in (".parquet", ".csv"):
        raise WrapperError(
            f"output: {table}: expected a name that ends in .parquet or .csv as trials=",
            hint="rename the output trials=",
        )
    return outputs


def _asynchronous(
    params: Mapping[str, Any], inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> bool:
    value = params.get("asynchronous", False)
    if not isinstance(value, bool):
        raise WrapperError(f"params: expected True or False as asynchronous=, got {value!r}")
    for where, files in (("input", inputs), ("output", outputs)):
        if _ORDER in files and not value:
            raise WrapperError(
                f"{where}: expected {_ORDER}= only beside asynchronous=True, got it without",
                hint="a search in batches is the same again by itself; drop the file or add "
                "asynchronous=True to the rule's params",
            )
    return value


def _check_several(params: Mapping[str, Any], pruner: str, outputs: Mapping[str, str]) -> None:
    """Check what only a search with one objective has."""
    got = [name for name in ("patience",) if params.get(name) is not None]
    got += ["model"] if "model" in outputs else []
    got += ["pruner"] if pruner != "none" else []
    if params.get("sampler") == "cmaes":
        got.append("sampler='cmaes'")
    if got:
        raise WrapperError(
            f"params: expected one objective as metric= beside {listed(got)}, got several",
            hint="there is no single best trial among several objectives",
        )


def _trial(params: Mapping[str, Any]) -> Mapping[str, Any]:
    trial = params.get("trial")
    kinds = [kind for kind in KINDS if kind in trial] if isinstance(trial, Mapping) else []
    if not isinstance(trial, Mapping) or len(kinds) != 1 or not isinstance(trial[kinds[0]], str):
        raise WrapperError(
            f"params: expected a mapping with one of {', '.join(KINDS)} as trial=, got {trial!r}",
            hint="such as trial={'function': 'objective.py:train'}",
        )
    for name in trial:
        if name not in (kinds[0], "params"):
            raise WrapperError(f"params: trial: expected {kinds[0]} and params, got {name!r}")
    fixed = trial.get("params", {})
    if not isinstance(fixed, Mapping):
        raise WrapperError(f"params: trial: expected a mapping as params, got {fixed!r}")
    if kinds[0] == "function" and not all(trial["function"].partition(":")):
        raise WrapperError(
            f"params: trial: expected 'file.py:function' or 'module:function' as function, got "
            f"{trial['function']!r}"
        )
    if kinds[0] == "wrapper":
        from snakemake_repro.wrappers import wrapper

        wrapper(trial["wrapper"])
    return trial


def _objectives(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    metric, direction = params.get("metric"), params.get("direction", "minimize")
    names = [metric] if isinstance(metric, str) else metric
    directions = [direction] if isinstance(direction, str) else direction
    fits = (
        isinstance(names, list | tuple)
        and isinstance(directions, list | tuple)
        and len(names) == len(directions) == len(set(names)) > 0
        and all(isinstance(name, str) and name for name in names)
        and all(one in _DIRECTIONS for one in directions)
    )
    if not fits:
        raise WrapperError(
            "params: expected the name of a metric as metric= and minimize or maximize as "
            f"direction=, or lists of them, got {metric!r} and {direction!r}"
        )
    assert isinstance(names, list | tuple)
    return tuple(zip(names, directions, strict=True))


def _one_of(
    params: Mapping[str, Any], name: str, known: tuple[str, ...], default: str
) -> tuple[str, Mapping[str, Any]]:
    value, options = params.get(name, default), params.get(f"{name}_options", {})
    if value not in known:
        raise WrapperError(
            f"params: expected one of {', '.join(known)} as {name}=, got {value!r}",
            hint=suggest(str(value), known),
        )
    if not isinstance(options, Mapping):
        raise WrapperError(f"params: expected a mapping as {name}_options=, got {options!r}")
    return str(value), options


def _positive(params: Mapping[str, Any], name: str) -> float | None:
    value = params.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise WrapperError(f"params: expected a number of seconds as {name}=, got {value!r}")
    return float(value)
