"""Where a program that a wrapper starts leaves metrics and artifacts, and what it is given."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.request import named_params

_JOB, _METRICS, _ARTIFACTS = "REPRO_JOB", "REPRO_METRICS", "REPRO_ARTIFACTS"


@contextlib.contextmanager
def reporting() -> Iterator[dict[str, str]]:
    """Give variables that name where to report to.

    Those of the job, if it is recorded. Otherwise a place that is gone afterwards: a program need
    not ask whether anybody listens.
    """
    names = (_JOB, _METRICS, _ARTIFACTS)
    if all(os.environ.get(name) for name in names):
        yield {name: os.environ[name] for name in names}
        return
    with tempfile.TemporaryDirectory(prefix="repro-") as place:
        Path(place, "artifacts").mkdir()
        yield {
            _JOB: os.environ.get(_JOB) or json.dumps({}),
            _METRICS: f"{place}/metrics.jsonl",
            _ARTIFACTS: f"{place}/artifacts",
        }


def plain_params(params: Any) -> dict[str, Any]:
    """Return the parameters by name as plain data, which programs of all languages have.

    Raises:
        WrapperError: One has no name, or is something else.
    """
    return {name: _plain(value, name) for name, value in named_params(params).items()}


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # NumPy's numbers
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    raise WrapperError(
        f"params: expected plain data as {name}=, got {type(value).__module__}."
        f"{type(value).__qualname__}",
        hint="numbers, text, lists, and mappings with text as keys",
    )


def named_files(files: Any) -> dict[str, str | list[str]]:
    """Return inputs or outputs that have names: a path, or a list of paths."""
    return {
        name: str(value) if isinstance(value, str) else [str(path) for path in value]
        for name, value in files.items()
    }
