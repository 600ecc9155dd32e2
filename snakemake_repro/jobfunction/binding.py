"""Each parameter of a function with what a rule has under its name: pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from snakemake_repro.jobfunction.problems import JobError, listed, suggested
from snakemake_repro.jobfunction.values import annotations_of, converted, kind_of

RUN = "run"
"""The parameter that gets the block of ``track``."""

_NAMED = ("input", "output", "params", "wildcards", "log")
"""Parts of a rule that give names to what they hold. A name in two of them is ambiguous."""
_FALLBACK = ("resources", "config")
"""Where a name is looked up that none of them has, in this order."""
_FILES = ("input", "output", "log")
_ALL = "snakemake"
_WHOLE = (*_NAMED, "threads", *_FALLBACK, _ALL)
"""Names that mean a whole part of the rule, or all of it."""


def bind(
    function: Callable[..., Any], given: Mapping[str, Any], snakemake: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what to call a function with, and which of that no other record has.

    Args:
        function: Its parameters are bound by name.
        given: What the call itself gives; it comes first and stays as it is.
        snakemake: Snakemake's object; ``None`` outside.

    Returns:
        Arguments by name, ``run`` left out; and those that came with the call, from the
        configuration or by default.

    Raises:
        JobError: Parameters have no value, or one has several, or the rule has params that the
            function does not take.
    """
    rule = None if snakemake is None else _Rule(snakemake)
    parameters = dict(inspect.signature(function).parameters)
    any_name = [n for n, p in parameters.items() if p.kind is inspect.Parameter.VAR_KEYWORD]
    for name in any_name:
        del parameters[name]
    hints = annotations_of(function)
    arguments = {name: value for name, value in given.items() if name not in any_name}
    for name in any_name:
        arguments.update(given.get(name, {}))
    reported = dict(arguments)
    missing = []
    for name, parameter in parameters.items():
        if name in arguments or name == RUN:
            continue
        found = None if rule is None else rule.find(name, parameter, hints.get(name))
        if found is None:
            if parameter.default is inspect.Parameter.empty:
                missing.append(name)
                continue
            found = "default", parameter.default
        arguments[name] = found[1]
        if found[0] in ("default", "config"):
            reported[name] = found[1]
    if missing:
        problem = f"expected a value for {listed(missing)}" if rule is None else rule.lacks(missing)
        raise JobError(f"{function.__name__}(): {problem}")
    further = {} if rule is None else rule.params_beyond(parameters)
    if further and not any_name:
        raise JobError(
            f"params: {function.__name__}() has no parameter {listed(further)}: it takes "
            f"{listed(parameters) or 'none'}{suggested(next(iter(further)), parameters)}"
        )
    return {**further, **arguments}, reported


class _Rule:
    """What a rule has on offer, by name and by the part of it that a name stands in."""

    def __init__(self, snakemake: Any) -> None:
        self._snakemake = snakemake
        self._offered: dict[str, dict[str, Any]] = {}
        for part in (*_NAMED, *_FALLBACK):
            for name, value in getattr(snakemake, part).items():
                if isinstance(name, str) and not name.startswith("_"):
                    several = part in _FILES and not isinstance(value, str)
                    at = self._offered.setdefault(name, {})
                    at[part] = list(value) if several else value

    def find(self, name: str, parameter: inspect.Parameter, hint: Any) -> tuple[str, Any] | None:
        """Return where a parameter's value comes from, and the value; ``None`` for nowhere."""
        found = self._find(name, hint)
        if found is None:
            return None
        source, value = found
        if source == "wildcards" and hint is None and kind_of(type(parameter.default)) is not None:
            hint = type(parameter.default)
        return source, converted(value, hint, f"{name} ({source})")

    def _find(self, name: str, hint: Any) -> tuple[str, Any] | None:
        at = self._offered.get(name, {})
        parts = [part for part in _NAMED if part in at]
        if name in _WHOLE:
            if parts:
                raise JobError(
                    f"{name}: expected one meaning, got the rule's {name} and one of its "
                    f"{parts[0]} of that name; give the latter another name"
                )
            return name, self._whole(name, hint)
        if parts:
            first = at[parts[0]]
            # a param that hands on a wildcard is no contradiction
            if any(type(at[p]) is not type(first) or at[p] != first for p in parts):
                shown = listed(f"{at[part]!r} in {part}" for part in parts)
                raise JobError(
                    f"{name}: expected one value, got {shown}; rename one of them, or take "
                    f"{' and '.join(parts)} whole"
                )
            return parts[0], first
        return next(((part, at[part]) for part in _FALLBACK if part in at), None)

    def _whole(self, part: str, hint: Any) -> Any:
        if part == _ALL:
            return self._snakemake
        value = getattr(self._snakemake, part)
        if part in _FILES and kind_of(hint) is not None:
            if len(value) != 1:
                raise JobError(f"{part}: expected one file, as it is annotated, got {len(value)}")
            return str(value[0])
        return value

    def params_beyond(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params that have no parameter of their name; none where all are asked for."""
        if "params" in parameters or _ALL in parameters:
            return {}
        named = {name: at["params"] for name, at in self._offered.items() if "params" in at}
        return {name: value for name, value in named.items() if name not in parameters}

    def lacks(self, names: Sequence[str]) -> str:
        """Say that there is nothing of these names, and what there is."""
        parts = []
        for part in (*_NAMED, *_FALLBACK):
            mine = [name for name, at in self._offered.items() if part in at]
            if mine:
                parts.append(f"{part} {listed(mine)}")
        return (
            f"rule {self._snakemake.rule} has nothing called {listed(names)}: it has "
            f"{'; '.join(parts) or 'no names'}{suggested(names[0], self._offered)}"
        )
