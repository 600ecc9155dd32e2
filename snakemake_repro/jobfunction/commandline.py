"""A script's own command line, as the parameters of its function have it."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from snakemake_repro.jobfunction.binding import RUN
from snakemake_repro.jobfunction.problems import JobError
from snakemake_repro.jobfunction.values import (
    annotations_of,
    from_text,
    guessed,
    is_list,
    item_of,
    kind_of,
)


def parse(function: Callable[..., Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Return the values that a command line gives to a function's parameters.

    ``learning_rate`` is ``--learning-rate``. What is true or false is a flag, ``--fast`` or
    ``--no-fast``; a list takes several values. The annotation says which type is meant, else the
    default value's type; without either, what looks like a number is one.

    Raises:
        SystemExit: For help, or with one line on what is wrong.
    """
    doc = inspect.getdoc(function) or ""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0], allow_abbrev=False)
    hints = annotations_of(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if name != RUN and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            _add(parser, name, parameter, hints.get(name, inspect.Parameter.empty))
    return {
        name: value
        for name, value in vars(parser.parse_args(arguments)).items()
        if value is not inspect.Parameter.empty
    }


def _add(
    parser: argparse.ArgumentParser, name: str, parameter: inspect.Parameter, hint: Any
) -> None:
    flag = f"--{name.replace('_', '-')}"
    flags = [flag] if "_" not in name else [flag, f"--{name}"]
    default = parameter.default
    required = default is inspect.Parameter.empty
    known = hint is not inspect.Parameter.empty
    shown = "required" if required else f"default: {str(default).replace('%', '%%')}"
    common: dict[str, Any] = {"dest": name, "default": inspect.Parameter.empty}
    if is_list(hint, default):
        first = default[0] if isinstance(default, (list, tuple)) and default else None
        kind = item_of(hint) if known else kind_of(type(first))
        read = _reader(name, kind)
        parser.add_argument(
            *flags, nargs="*", type=read, required=required, metavar="X", help=shown, **common
        )
        return
    kind = kind_of(hint) if known else kind_of(type(default))
    if kind is bool:
        group = parser.add_mutually_exclusive_group(required=required)
        group.add_argument(*flags, action="store_true", help=shown, **common)
        group.add_argument(f"--no-{flag[2:]}", action="store_false", **common)
        return
    parser.add_argument(
        *flags, type=_reader(name, kind), required=required, metavar="X", help=shown, **common
    )


def _reader(name: str, kind: type | None) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return guessed(text) if kind is None else from_text(text, kind, name)
        except JobError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from None

    return read
