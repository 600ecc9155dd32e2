"""What a search may choose from, written as plain data.

A mapping with one of the words of ``_WORDS`` as its only key is a dimension; every other mapping
or list is taken apart, and anything else is a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from snakemake_repro.wrappers.problems import WrapperError, suggest

_WORDS = ("range", "randint", "uniform", "loguniform", "choice")
_SCALARS = (bool, int, float, str)


class Chooser(Protocol):
    """What gives every dimension its value; an Optuna trial is one."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """Return a whole number, both ends included."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""


Choose = Callable[[Chooser], Any]


def parse(space: Any) -> Callable[[Chooser], dict[str, Any]]:
    """Return what makes the parameters of a trial from a space.

    Raises:
        WrapperError: It is no space, or one without dimensions.
    """
    if not isinstance(space, Mapping) or not space:
        raise WrapperError(
            f"params: expected a mapping of names to dimensions as space=, got {space!r}",
            hint="such as space={'max_depth': {'randint': [2, 8]}}",
        )
    choose = _mapping(space, "")
    names: list[str] = []
    _first(choose, names)
    if not names:
        raise WrapperError(
            f"params: space: expected at least one dimension ({', '.join(_WORDS)}), got constants",
            hint="such as space={'max_depth': {'randint': [2, 8]}}",
        )
    return choose


def grid(choose: Choose) -> Iterator[dict[str, Any]]:
    """Yield every combination of a finite space by the names of its dimensions.

    Dimensions that exist only for some choice are taken where they exist, so that no combination
    comes twice.

    Raises:
        WrapperError: A dimension is not finite.
    """
    pending: list[dict[str, Any]] = [{}]
    while pending:
        fixed = pending.pop()
        chooser = _Fixed(fixed)
        choose(chooser)
        if chooser.open is None:
            yield fixed
            continue
        name, values = chooser.open
        pending += [{**fixed, name: value} for value in reversed(values)]


def _first(choose: Choose, names: list[str]) -> None:
    chooser = _Fixed({}, finite=False)
    choose(chooser)
    names += chooser.names


class _Fixed:
    """Gives dimensions fixed values, and notes the first that has none.

    Attributes:
        open: That dimension and all its values; ``None`` where all had one.
        names: Of all dimensions that were asked for.
    """

    def __init__(self, values: Mapping[str, Any], *, finite: bool = True) -> None:
        self._values = values
        self._finite = finite
        self.open: tuple[str, list[Any]] | None = None
        self.names: list[str] = []

    def _take(self, name: str, values: Sequence[Any]) -> Any:
        self.names.append(name)
        if name in self._values:
            return self._values[name]
        if self.open is None:
            self.open = (name, list(values))
        return values[0]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return int(self._take(name, range(low, high + 1, step)))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002 - Optuna's signature
        if self._finite:
            raise WrapperError(
                f"params: space: {name}: expected range, randint or choice for sampler='grid', "
                f"got numbers from {low} to {high}",
                hint="give a choice of numbers, or another sampler",
            )
        self.names.append(name)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._take(name, choices)


def _mapping(space: Mapping[Any, Any], prefix: str) -> Callable[[Chooser], dict[str, Any]]:
    entries: list[tuple[str, Choose, Mapping[Any, Choose]]] = []
    for key, value in space.items():
        if not isinstance(key, str) or not key:
            raise WrapperError(f"params: space: expected names that are text, got {key!r}")
        name = f"{prefix}{key}"
        choose = _node(value, name)
        entries.append((key, choose, _branches(value, prefix, name)))

    def chosen(chooser: Chooser) -> dict[str, Any]:
        found = {}
        for key, choose, branches in entries:
            found[key] = choose(chooser)
            if branches:
                found.update(branches[found[key]](chooser))
        return found

    return chosen


def _branches(value: Any, prefix: str, name: str) -> Mapping[Any, Choose]:
    """Return what else exists for each of the choices of a conditional dimension."""
    options = value.get("choice") if isinstance(value, Mapping) and len(value) == 1 else None
    if not isinstance(options, Mapping):
        return {}
    for option, below in options.items():
        if not isinstance(below, Mapping):
            raise WrapperError(
                f"params: space: {name}: expected a mapping of further parameters for the choice "
                f"{option!r}, got {below!r}",
                hint="{} where it has none",
            )
    return {
        # the same name may have other limits for another choice, so a dimension names its choice
        option: _mapping(below, f"{prefix}{name.removeprefix(prefix)}={option}.")
        for option, below in options.items()
    }


def _node(value: Any, name: str) -> Choose:
    if isinstance(value, Mapping):
        word = next(iter(value)) if len(value) == 1 else None
        if word in _WORDS:
            return _DIMENSIONS[word](value[word], name)
        if isinstance(word, str) and (hint := suggest(word, _WORDS)) is not None:
            raise WrapperError(
                f"params: space: {name}: expected one of {', '.join(_WORDS)}, got {word!r}",
                hint=hint,
            )
        return _mapping(value, f"{name}.")
    if isinstance(value, list | tuple):
        items = [_node(item, f"{name}.{index}") for index, item in enumerate(value)]
        return lambda chooser: [item(chooser) for item in items]
    if value is not None and not isinstance(value, _SCALARS):
        raise WrapperError(f"params: space: {name}: expected plain data, got {value!r}")
    return lambda _: value


def _bounds(value: Any, name: str, word: str, kind: type) -> tuple[Any, Any]:
    allowed = (int, float) if kind is float else (int,)
    fits = (
        isinstance(value, list | tuple)
        and len(value) == 2  # noqa: PLR2004 - a lower and an upper end
        and all(isinstance(v, allowed) and not isinstance(v, bool) for v in value)
        and all(math.isfinite(v) for v in value)
        and value[0] <= value[1]
    )
    if not fits:
        what = "two whole numbers" if kind is int else "two numbers"
        raise WrapperError(
            f"params: space: {name}: expected {what} [low, high] as {word}, got {value!r}"
        )
    return kind(value[0]), kind(value[1])


def _range(value: Any, name: str) -> Choose:
    parts = value if isinstance(value, list | tuple) else [value]
    try:
        numbers = range(*parts)
    except (TypeError, ValueError):
        numbers = range(0)
    if not numbers or numbers.step < 0:
        raise WrapperError(
            f"params: space: {name}: expected [stop], [start, stop] or [start, stop, step] as "
            f"range, which excludes its stop, got {value!r}"
        )
    return lambda chooser: chooser.suggest_int(name, numbers[0], numbers[-1], step=numbers.step)


def _randint(value: Any, name: str) -> Choose:
    low, high = _bounds(value, name, "randint", int)
    return lambda chooser: chooser.suggest_int(name, low, high)


def _uniform(value: Any, name: str) -> Choose:
    low, high = _bounds(value, name, "uniform", float)
    return lambda chooser: chooser.suggest_float(name, low, high)


def _loguniform(value: Any, name: str) -> Choose:
    low, high = _bounds(value, name, "loguniform", float)
    if low <= 0:
        raise WrapperError(
            f"params: space: {name}: expected numbers above 0 as loguniform, got {value!r}"
        )
    return lambda chooser: chooser.suggest_float(name, low, high, log=True)


def _choice(value: Any, name: str) -> Choose:
    options = list(value) if isinstance(value, list | tuple | Mapping) else []
    if not options:
        raise WrapperError(
            f"params: space: {name}: expected a list of options as choice, or a mapping of options "
            f"to what further parameters each has, got {value!r}"
        )
    if all(option is None or isinstance(option, _SCALARS) for option in options):
        return lambda chooser: chooser.suggest_categorical(name, options)
    nodes = [_node(option, f"{name}.{index}") for index, option in enumerate(options)]
    numbers = list(range(len(nodes)))
    return lambda chooser: nodes[chooser.suggest_categorical(name, numbers)](chooser)


_DIMENSIONS: Mapping[str, Callable[[Any, str], Choose]] = {
    "range": _range,
    "randint": _randint,
    "uniform": _uniform,
    "loguniform": _loguniform,
    "choice": _choice,
}
