"""What the ``tabular/split`` wrapper does: split a table into train, valid and test."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.dealing import deal
from snakemake_repro.wrappers.files import write_bytes, write_json
from snakemake_repro.wrappers.problems import WrapperError, listed
from snakemake_repro.wrappers.sample import Ints
from snakemake_repro.wrappers.tables import column, read_arrow, to_parquet

_KNOWN = ("valid", "test", "group", "stratify", "seed")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Order:
    """What the rule asks for.

    Attributes:
        shares: Of each part by its name, the train part first.
        paths: Where each part goes.
    """

    data: str
    shares: Mapping[str, float]
    paths: Mapping[str, str]
    group: str | None
    stratify: str | None
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Labels:
    """A column as numbers: ``names[codes]`` is the column."""

    codes: Ints
    names: tuple[Any, ...]


def split(snakemake: Any, run: Any) -> None:
    """Do what a rule with the ``tabular/split`` wrapper asks for.

    Which row goes where is decided by ``deal``, which names what it uses of scikit-learn.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.

    Raises:
        WrapperError: Input or parameters make no sense, or the table cannot be split so.
    """
    order = _parse(snakemake)
    table = read_arrow(order.data)
    frame = table.to_pandas()
    groups = _labels(frame, order, order.group, "group")
    classes = _labels(frame, order, order.stratify, "stratify")
    part = _deal(order, len(frame), groups, classes)
    report = _report(order, part, groups, classes)
    run.log_metrics(_flat(report))
    for number, name in enumerate(order.shares):
        write_bytes(order.paths[name], to_parquet(table.filter(part == number)))
    if (path := requests.path_of(snakemake.output, "report")) is not None:
        write_json(path, report)


def _parse(snakemake: Any) -> _Order:
    params = requests.known_params("tabular/split", snakemake.params, _KNOWN)
    valid = requests.share(params, "valid", default=0.25)
    test = requests.share(params, "test", default=0.0)
    if not valid:
        raise WrapperError(
            f"params: expected a share above 0 as valid=, got {valid:g}",
            hint="a table that is not split needs no wrapper",
        )
    if valid + test >= 1:
        raise WrapperError(
            f"params: expected valid= and test= that leave rows to train on, got {valid:g} "
            f"and {test:g}",
            hint="they are shares of all rows, such as 0.2",
        )
    shares = {"train": 1 - valid - test, "valid": valid}
    has_test = requests.path_of(snakemake.output, "test") is not None
    if has_test != (test > 0):
        where, other = ("output", "params") if has_test else ("params", "output")
        raise WrapperError(
            f"{where}: expected test= also in the rule's {other}, got it only here",
            hint="params: test= is the share of the rows that go to output: test=",
        )
    if has_test:
        shares["test"] = test
    return _Order(
        data=requests.required_path(snakemake.input, "data", "input"),
        shares=shares,
        paths={name: requests.required_path(snakemake.output, name, "output") for name in shares},
        group=requests.optional_text(params, "group"),
        stratify=requests.optional_text(params, "stratify"),
        seed=requests.seed_of(snakemake),
    )


def _labels(frame: Any, order: _Order, name: str | None, role: str) -> _Labels | None:
    if name is None:
        return None
    import pandas as pd

    values = column(frame, name, path=order.data, role=role)
    codes, names = pd.factorize(values.to_numpy(), sort=True)
    return _Labels(codes=codes.astype(np.int64), names=tuple(names.tolist()))


def _deal(order: _Order, size: int, groups: _Labels | None, classes: _Labels | None) -> Ints:
    """Return the part of each row, and check that each part got what it must have."""
    if classes is None or groups is None:
        units, word = (size, "rows") if groups is None else (len(groups.names), "groups")
        held_out = sum(math.ceil(part * units) for part in list(order.shares.values())[1:])
        if held_out >= units:
            raise WrapperError(
                f"{order.data}: expected more {word} than the {held_out} that {_asked(order)} "
                f"hold out, got {units}",
                hint="split a larger table, or give smaller shares",
            )
    if classes is not None:
        _check_classes(order, groups, classes)
    try:
        part = deal(
            size,
            list(order.shares.values()),
            groups=None if groups is None else groups.codes,
            classes=None if classes is None else classes.codes,
            seed=order.seed,
        )
    except ValueError as exc:
        raise WrapperError(
            f"{order.data}: cannot be split with {_asked(order)}: {exc}",
            hint="split a larger table, or give other shares",
        ) from exc
    if classes is not None:
        _check_parts(order, part, classes)
    return part


def _asked(order: _Order) -> str:
    held_out = list(order.shares.items())[1:]
    return " and ".join(f"{name}={share:g}" for name, share in held_out)


def _check_classes(order: _Order, groups: _Labels | None, classes: _Labels) -> None:
    """Check that each class has a row, or a group, for each part."""
    units = np.arange(len(classes.codes)) if groups is None else groups.codes
    pairs = np.unique(np.column_stack([classes.codes, units]), axis=0)
    found = np.bincount(pairs[:, 0])
    word = "rows" if groups is None else "groups"
    for name, count in zip(classes.names, found, strict=True):
        if count < len(order.shares):
            raise WrapperError(
                f"{order.data}: expected at least {len(order.shares)} {word} of every class in "
                f"column {order.stratify!r} (stratify), got {count} of {name!r}",
                hint="give every class a row for each part, or leave out params: stratify=",
            )


def _check_parts(order: _Order, part: Ints, classes: _Labels) -> None:
    for number, name in enumerate(order.shares):
        there = np.unique(classes.codes[part == number])
        lacking = [label for code, label in enumerate(classes.names) if code not in there]
        if lacking:
            raise WrapperError(
                f"{order.data}: expected rows of every class in column {order.stratify!r} "
                f"(stratify) in {name}, got none of {listed(lacking)}",
                hint=f"give {name} a larger share, or leave out params: stratify=",
            )


def _report(
    order: _Order, part: Ints, groups: _Labels | None, classes: _Labels | None
) -> dict[str, Any]:
    parts = {}
    for number, name in enumerate(order.shares):
        here = part == number
        rows = int(here.sum())
        about: dict[str, Any] = {"rows": rows, "share": rows / len(part)}
        if groups is not None:
            about["groups"] = len(np.unique(groups.codes[here]))
        if classes is not None:
            counts = np.bincount(classes.codes[here], minlength=len(classes.names))
            pairs = [(str(n), int(c)) for n, c in zip(classes.names, counts, strict=True)]
            about["counts"] = dict(pairs)
            about["class_shares"] = {label: count / rows for label, count in pairs}
        parts[name] = about
    return {
        "schema": 1,
        "rows": len(part),
        "group": order.group,
        "stratify": order.stratify,
        "seed": order.seed,
        "asked": dict(order.shares),
        "parts": parts,
    }


def _flat(report: Mapping[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, about in report["parts"].items():
        flat |= {f"{name}_{what}": about[what] for what in ("rows", "groups") if what in about}
        shares = about.get("class_shares", {})
        flat |= {f"{name}_share_{label}": share for label, share in shares.items()}
    return flat
