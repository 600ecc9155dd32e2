"""A job as a function: ``@job`` binds its parameters by name and records what it returns.

Like ``client`` this package needs nothing but Python 3.7 and its standard library.
"""

from __future__ import annotations

import functools
import inspect
import operator
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from snakemake_repro.client import Tracking
from snakemake_repro.jobfunction.binding import RUN, bind
from snakemake_repro.jobfunction.commandline import parse
from snakemake_repro.jobfunction.outcome import log_results
from snakemake_repro.jobfunction.problems import JobError

__all__ = ["JobError", "job"]

_SEED = "seed"
_UNNAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)


def job(
    function: Callable[..., Any] | None = None, *, seed: int | None = None, autolog: bool = False
) -> Callable[..., Any]:
    """Make a function the whole of a script, in Snakemake and outside.

    ::

        @job
        def main(data, model, depth: int = 3, seed=1):
            ...
            return {"auc": 0.97}

        if __name__ == "__main__":
            main()

    In a job of Snakemake each parameter gets what the rule has under its name; without Snakemake
    ``main()`` in a script takes the command line, and ``main(depth=5)`` is an ordinary call. What
    the call itself gives always comes first. The function runs in a block of ``track``; a
    parameter called ``run`` is given that block. It may return a mapping with numbers, series,
    text, figures, paths and models, which is recorded, and handed on to the caller.

    Args:
        function: With parameters that have names, all of them.
        seed: As for ``track``. By default the whole number that a parameter called ``seed`` has.
        autolog: As for ``track``.

    Raises:
        TypeError: The function has parameters without names, or two seeds.
        JobError: On a call: a parameter has no value, or several; or what the function returns
            cannot be recorded. In a script this becomes one line and an exit status of 1.
    """
    if function is None:
        return functools.partial(job, seed=seed, autolog=autolog)
    signature = inspect.signature(function)
    unnamed = [name for name, about in signature.parameters.items() if about.kind in _UNNAMED]
    if unnamed:
        raise TypeError(
            f"{function.__name__}: expected parameters that can be given by name, got {unnamed[0]}"
        )
    if seed is not None and _SEED in signature.parameters:
        raise TypeError(
            f"{function.__name__}: expected one seed, got a parameter of that name and seed={seed}"
        )
    given_seed = None if seed is None else operator.index(seed)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        scope, snakemake = _scope(function)
        try:
            return _run(function, (args, kwargs), (scope, snakemake), (given_seed, autolog))
        except JobError as exc:
            if not _is_script(scope):
                raise
            name = os.path.basename(scope["__file__"])  # noqa: PTH119 - Snakemake gives URLs, too
            raise SystemExit(f"{name}: {exc}") from None

    return call


def _run(
    function: Callable[..., Any],
    call: tuple[tuple[Any, ...], Mapping[str, Any]],
    place: tuple[Mapping[str, Any], Any],
    options: tuple[int | None, bool],
) -> Any:
    signature = inspect.signature(function)
    (scope, snakemake), (seed, autolog) = place, options
    try:
        given = signature.bind_partial(*call[0], **call[1]).arguments
    except TypeError as exc:
        raise JobError(f"{function.__name__}(): {exc}") from exc
    if snakemake is None and not given and _is_script(function.__globals__):
        given = parse(function, sys.argv[1:])
    problem = None
    arguments: dict[str, Any] = {}
    reported: dict[str, Any] = {}
    try:
        arguments, reported = bind(function, given, snakemake)
    except JobError as exc:
        problem = exc
    if isinstance(arguments.get(_SEED), int) and not isinstance(arguments[_SEED], bool):
        seed = arguments[_SEED]
    names = {key: scope.get(key) for key in ("__file__", "__real_file__")}
    with Tracking(snakemake, seed, names, autolog=autolog) as run:
        if problem is not None:
            raise problem  # here, so that the attempt is on record as one that failed
        if reported:
            run.log_params(reported)
        if RUN in signature.parameters:
            arguments.setdefault(RUN, run)
        found = function(**arguments)
        log_results(run, found, function.__name__)
        return found


def _scope(function: Callable[..., Any]) -> tuple[Mapping[str, Any], Any]:
    """Return the globals that have Snakemake's object, with that; or the function's, and none.

    Snakemake puts it into the script. The function may stand in a module that the script imports.
    """
    main = sys.modules.get("__main__")
    own: Mapping[str, Any] = function.__globals__
    for scope in (own, {} if main is None else vars(main)):
        found = scope.get("snakemake")
        # a script may well have imported the module of that name
        if hasattr(found, "wildcards") and hasattr(found, "params"):
            return scope, found
    return own, None


def _is_script(scope: Mapping[str, Any]) -> bool:
    """Tell a script that was started as such from a notebook and an imported module."""
    return scope.get("__name__") == "__main__" and isinstance(scope.get("__file__"), str)
