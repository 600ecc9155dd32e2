"""What a search leaves: the best, all trials, the best model, and what goes on record."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.wrappers.files import write_bytes, write_json
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.search import Search
from snakemake_repro.wrappers.tuning.trials import Found, Tried


def tune(snakemake: Any, run: Any) -> None:
    """Do what a rule with the wrapper ``tune`` asks for.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.

    Raises:
        WrapperError: The rule makes no sense, or no trial came to its end.
    """
    from snakemake_repro.wrappers.tuning import order as orders

    order = orders.parse(snakemake)
    with Search(order) as search:
        found = search.run()
        _log(order, found, run)
        _write(order, found)
        search.done()


def best_of(order: Order, found: Found) -> dict[str, Any]:
    """Return the best, which is a list where there are several objectives."""
    names = [name for name, _ in order.objectives]
    entries = [
        {
            "trial": one.number,
            "params": dict(one.params),
            "values": dict(zip(names, one.measured or (), strict=True)),
        }
        for one in found.best
    ]
    return {
        "schema": 1,
        "best": entries[0] if len(names) == 1 else entries,
        "objectives": dict(order.objectives),
        "sampler": order.sampler[0],
        "pruner": order.pruner[0],
        "seed": order.seed,
        "parallel": order.parallel,
        **({"asynchronous": True} if order.asynchronous else {}),
        "trials": _counts(found),
        # a repeat may do more or fewer trials where time decides
        "ended_by": found.course.reason,
    }


def _counts(found: Found) -> dict[str, int]:
    states = [one.state for one in found.tried]
    return {state: states.count(state) for state in ("complete", "pruned", "failed")}


def table_of(order: Order, found: Found) -> Any:
    """Return all trials as a table, without anything that differs from run to run."""
    import pandas as pd

    names = [name for name, _ in order.objectives]
    dimensions = list(dict.fromkeys(name for one in found.tried for name in one.chosen))
    columns: dict[str, Any] = {
        "trial": pd.Series([one.number for one in found.tried], dtype="int64"),
        "state": pd.Series([one.state for one in found.tried], dtype="str"),
    }
    for index, name in enumerate(names):
        values = [None if one.measured is None else one.measured[index] for one in found.tried]
        columns[name] = pd.Series(values, dtype="float64")
    for name in dimensions:
        columns[f"params.{name}"] = _column([one.chosen.get(name) for one in found.tried])
    columns["params"] = [json.dumps(dict(one.params), sort_keys=True) for one in found.tried]
    columns["steps"] = [json.dumps([list(step) for step in one.steps]) for one in found.tried]
    return pd.DataFrame(columns)


def _column(values: list[Any]) -> Any:
    """Return numbers as numbers and anything else as text; what a trial lacks is missing."""
    import pandas as pd

    there = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in there):
        whole = len(there) == len(values) and all(isinstance(value, int) for value in there)
        return pd.Series(values, dtype="int64" if whole else "float64")
    texts = [value if isinstance(value, str) or value is None else json.dumps(value)
             for value in values]  # fmt: skip
    return pd.Series(texts, dtype="str")


def _write(order: Order, found: Found) -> None:
    outputs = order.outputs
    if "trials" in outputs:
        frame = table_of(order, found)
        if outputs["trials"].endswith(".csv"):
            write_bytes(outputs["trials"], frame.to_csv(index=False).encode())
        else:
            buffer = io.BytesIO()
            frame.to_parquet(buffer, index=False)
            write_bytes(outputs["trials"], buffer.getvalue())
    if "model" in outputs:
        write_bytes(outputs["model"], _model(order, found.best[0]))
    if "figures" in outputs:
        from snakemake_repro.wrappers.tuning.figures import page

        folder = Path(outputs["figures"])
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, data in page(order, found).items():
            write_bytes(folder / name, data)
    if found.course.record is not None and "order" in outputs:
        write_bytes(outputs["order"], found.course.record.to_text().encode())
    write_json(outputs["best"], best_of(order, found))


def _model(order: Order, best: Tried) -> bytes:
    path = best.directory / f"model{Path(order.outputs['model']).suffix}"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise WrapperError(
            f"output: expected the best trial ({best.number}) to write a model, got none",
            hint="write it to trial.model, or in a script to $REPRO_MODEL",
        ) from None


def _log(order: Order, found: Found, run: Any) -> None:
    """Put the search on record: a point for every trial, and the best."""
    names = [name for name, _ in order.objectives]
    for one in found.tried:
        if one.state == "complete":
            values = zip(names, one.measured or (), strict=True)
            run.log_metrics({f"trial_{name}": value for name, value in values}, step=one.number)
        run.log_trial(one.number, one.params, _measured(names, one), one.state)
    run.log_metrics({f"trials_{state}": number for state, number in _counts(found).items()})
    best = found.best[0]
    if len(names) == 1:
        run.log_metrics(
            {f"best_{names[0]}": (best.measured or (0.0,))[0], "best_trial": best.number}
        )
        run.log_params({f"best.{name}": value for name, value in _flat(best.params, "")})
    course = found.course
    run.log_params({"search.ended_by": course.reason, "search.resumed_trials": course.resumed})


def _measured(names: Sequence[str], one: Tried) -> list[dict[str, Any]]:
    """Return a trial's steps and, unless it is the last of them, its result."""
    lines: list[dict[str, Any]] = [{names[0]: value, "step": step} for step, value in one.steps]
    values = () if one.measured is None else one.measured
    if not values or (one.steps and values == (one.steps[-1][1],)):
        return lines
    last = max((step for step, _ in one.steps), default=-1)
    return [*lines, {**dict(zip(names, values, strict=False)), "step": last + 1}]


def _flat(params: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
