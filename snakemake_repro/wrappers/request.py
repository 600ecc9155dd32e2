"""What a rule asks of a train wrapper, taken from Snakemake's object and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from snakemake_repro.wrappers.problems import WrapperError, check_names, listed

DEFAULT_FOLDS = 5
_RESERVED = ("target", "features", "seed", "group", "folds")
_WORKERS = "num_workers"
_MAX_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What to train on, what to write, and with which parameters.

    Attributes:
        train: Parquet file to fit the model to.
        valid: Parquet file to measure the model on; ``None`` where there is none.
        model: Where the model goes.
        metrics: Where the metrics go.
        target: Column to predict.
        features: Columns to predict from; ``None`` for all others.
        group: Column that says which rows belong together; never a feature.
        seed: Seed of everything random.
        folds: Folds of the cross-validation; 0 for none.
        threads: Threads that the job may use.
        workers: Processes that train together; 1 for the job's own alone.
        own: The parameters that are the estimator's own.
    """

    train: str
    valid: str | None
    model: str
    metrics: str
    target: str
    features: tuple[str, ...] | None
    group: str | None
    seed: int
    folds: int
    threads: int
    workers: int
    own: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """What to learn from.

    Attributes:
        train: Parquet file to fit the model to.
        valid: Parquet file to measure the model on; ``None`` where there is none.
        whole: It is all there is: the rule gave it as ``data=``.
    """

    train: str
    valid: str | None
    whole: bool


def tables_of(snakemake: Any) -> Tables:
    """Return the tables that the rule gives.

    Raises:
        WrapperError: The rule does not follow the interface of the train wrappers.
    """
    data, train, valid = (path_of(snakemake.input, name) for name in ("data", "train", "valid"))
    if (data is None) == (train is None):
        got = "both" if data is not None else listed(snakemake.input.keys())
        raise WrapperError(
            f"input: expected either data= or train=, got {got}",
            hint="give data= to cross-validate, or train= and valid=",
        )
    if data is not None and valid is not None:
        raise WrapperError(
            "input: expected valid= only beside train=, got it beside data=",
            hint="give train= and valid=",
        )
    return Tables(train=data or train or "", valid=valid, whole=data is not None)


def parse(snakemake: Any, *, shared: bool) -> Request:
    """Return what the rule asks for.

    Args:
        snakemake: Snakemake's object.
        shared: Several workers can train such a model together.

    Raises:
        WrapperError: The rule does not follow the interface of the train wrappers.
    """
    tables = tables_of(snakemake)
    params = named_params(snakemake.params)
    features = params.get("features")
    reserved = (*_RESERVED, _WORKERS) if shared else _RESERVED
    threads = int(snakemake.threads)
    return Request(
        train=tables.train,
        valid=tables.valid,
        model=required_path(snakemake.output, "model", "output"),
        metrics=required_path(snakemake.output, "metrics", "output"),
        target=text(params, "target"),
        features=None if features is None else names(params, "features"),
        group=optional_text(params, "group"),
        seed=seed_of(snakemake),
        folds=whole(params, "folds", default=DEFAULT_FOLDS, low=0) if tables.whole else 0,
        threads=threads,
        workers=_workers(params, threads) if shared else 1,
        own={name: value for name, value in params.items() if name not in reserved},
    )


def _workers(params: Mapping[str, Any], threads: int) -> int:
    count = whole(params, _WORKERS, default=1, low=1)
    if count > threads:
        raise WrapperError(
            f"params: expected at most as many workers as the rule's {threads} threads as "
            f"{_WORKERS}=, got {count}",
            hint=f"give the rule threads: {count}, and the run as many cores",
        )
    return count


def seed_of(snakemake: Any) -> int:
    """Return the seed that the rule gives; 0 where it gives none.

    Raises:
        WrapperError: It is no whole number, or out of the range that all libraries take.
    """
    return whole(dict(snakemake.params.items()), "seed", default=0, low=0, high=_MAX_SEED)


def named_params(params: Any) -> dict[str, Any]:
    """Return the parameters by name.

    Raises:
        WrapperError: One has no name.
    """
    by_name = dict(params.items())
    if len(by_name) != len(params):
        raise WrapperError(
            f"params: expected every parameter with a name, got {len(params) - len(by_name)} "
            "without one",
            hint="write them as name=value",
        )
    return by_name


def known_params(wrapper: str, params: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return the parameters by name, of a wrapper that takes certain ones only.

    Raises:
        WrapperError: One has no name, or a name that the wrapper does not know.
    """
    by_name = named_params(params)
    check_names(by_name, known, wrapper)
    return by_name


def choice(params: Mapping[str, Any], name: str, known: Sequence[str]) -> str:
    """Return a parameter that is one of some words; the first where there is none.

    Raises:
        WrapperError: It is something else.
    """
    value = params.get(name, known[0])
    if value not in known:
        raise WrapperError(f"params: expected one of {listed(known)} as {name}=, got {value!r}")
    return str(value)


def path_of(files: Any, name: str) -> str | None:
    """Return the path of a named input or output, or ``None``.

    Raises:
        WrapperError: There are several of that name.
    """
    value = files.get(name)
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    if len(value) == 1:
        return str(value[0])
    raise WrapperError(f"expected one file as {name}=, got {len(value)}")


def required_path(files: Any, name: str, where: str) -> str:
    """Return the path of a named input or output that must be there.

    Raises:
        WrapperError: It is not there.
    """
    path = path_of(files, name)
    if path is None:
        raise WrapperError(
            f"{where}: expected a file as {name}=, got {listed(files.keys())}",
            hint=f"add {name}=... to the rule's {where}",
        )
    return path


def text(params: Mapping[str, Any], name: str, what: str = "column name") -> str:
    """Return a parameter that is a piece of text.

    Args:
        params: The parameters by name.
        name: Name of the one.
        what: What it says, for the message.

    Raises:
        WrapperError: It is missing or something else.
    """
    value = params.get(name)
    if not isinstance(value, str) or not value:
        got = "nothing" if value is None else repr(value)
        raise WrapperError(
            f"params: expected a {what} as {name}=, got {got}",
            hint=f"add {name}=... to the rule's params",
        )
    return value


def optional_text(params: Mapping[str, Any], name: str) -> str | None:
    """Return a parameter that is a piece of text, or ``None`` where it is left out.

    Raises:
        WrapperError: It is something else.
    """
    return None if params.get(name) is None else text(params, name)


def names(params: Mapping[str, Any], name: str, what: str = "column names") -> tuple[str, ...]:
    """Return a parameter that is a list of names without repetition.

    Args:
        params: The parameters by name.
        name: Name of the one.
        what: What it lists, for the message.

    Raises:
        WrapperError: It is something else.
    """
    value = params[name]
    if (
        isinstance(value, str)
        or not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(item, str) for item in value)
        or len(set(value)) != len(value)
    ):
        raise WrapperError(f"params: expected a list of different {what} as {name}=, got {value!r}")
    return tuple(value)


def whole(
    params: Mapping[str, Any], name: str, *, default: int, low: int, high: int | None = None
) -> int:
    """Return a parameter that is a whole number in a range.

    Raises:
        WrapperError: It is something else.
    """
    value = params.get(name, default)
    fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits or value < low or (high is not None and value > high):
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise WrapperError(f"params: expected a whole number {limits} as {name}=, got {value!r}")
    return int(value)


def share(params: Mapping[str, Any], name: str, *, default: float) -> float:
    """Return a parameter that is a share of a whole, 1 left out.

    Raises:
        WrapperError: It is something else.
    """
    value = params.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise WrapperError(f"params: expected a number from 0 to below 1 as {name}=, got {value!r}")
    return float(value)
