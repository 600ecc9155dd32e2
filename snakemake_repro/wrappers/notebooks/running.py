"""What the ``notebook`` wrapper does: run a notebook with the rule's parameters, and clean it."""

from __future__ import annotations

import json
import keyword
import os
import sys
from pathlib import Path
from typing import Any

from snakemake_repro.wrappers.files import write_bytes
from snakemake_repro.wrappers.interpreters import python_path
from snakemake_repro.wrappers.notebooks.cleaning import clean, identify
from snakemake_repro.wrappers.notebooks.kernel import execute
from snakemake_repro.wrappers.notebooks.parameters import inject
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.reporting import named_files, plain_params, reporting
from snakemake_repro.wrappers.request import path_of, required_path

_NOTEBOOK = "notebook"


def run_notebook(snakemake: Any) -> None:
    """Do what a rule with the ``notebook`` wrapper asks for.

    Args:
        snakemake: Snakemake's object.

    Raises:
        WrapperError: The rule makes no sense, or the notebook failed; a log called ``notebook``
            then has it as far as it ran.
    """
    path = Path(required_path(snakemake.input, _NOTEBOOK, "input"))
    places = [p for p in (path_of(snakemake.output, _NOTEBOOK), snakemake.log.get(_NOTEBOOK)) if p]
    params = plain_params(snakemake.params)
    values = _values(snakemake, params)
    notebook = _read(path)
    search = os.pathsep.join((str(path.resolve().parent), python_path()))
    # the order of sets is shown, too; our executor fixes it for all jobs
    hashes = os.environ.get("PYTHONHASHSEED", "0")
    try:
        inject(notebook, values, list(params))
        with reporting() as variables:
            execute(notebook, {**variables, "PYTHONPATH": search, "PYTHONHASHSEED": hashes})
    except WrapperError as exc:
        if snakemake.log.get(_NOTEBOOK):
            write_bytes(snakemake.log.get(_NOTEBOOK), _written(notebook))
        raise WrapperError(f"{path}: {exc.message}", hint=exc.hint) from exc
    for place in places:
        write_bytes(place, _written(notebook))


def _values(snakemake: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Return what the notebook gets, by name: files, wildcards and parameters of the rule."""
    found: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for part, named in (
        ("input", named_files(snakemake.input)),
        ("output", named_files(snakemake.output)),
        ("wildcards", {name: str(value) for name, value in snakemake.wildcards.items()}),
        ("params", params),
    ):
        for name, value in named.items():
            if name == _NOTEBOOK and part in ("input", "output"):
                continue
            # a param that hands on a wildcard is no contradiction
            if name in found and found[name] != value:
                raise WrapperError(
                    f"expected one value for {name!r}, got {found[name]!r} in {origin[name]} and "
                    f"{value!r} in {part}",
                    hint="rename one of them",
                )
            if not name.isidentifier() or keyword.iskeyword(name):
                raise WrapperError(f"{part}: expected the name of a variable, got {name!r}")
            found[name], origin[name] = value, part
    return found


def _read(path: Path) -> Any:
    import nbformat

    try:
        content = json.loads(path.read_bytes())
        identify(content)
        notebook = nbformat.reads(json.dumps(content), as_version=4)
        nbformat.validate(notebook)
    except OSError as exc:
        raise WrapperError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError) as exc:
        first = str(exc).partition("\n")[0]
        raise WrapperError(f"{path}: expected a Jupyter notebook, got: {first}") from exc
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _written(notebook: Any) -> bytes:
    import nbformat

    clean(
        notebook,
        {
            str(Path.cwd()): ".",
            sys.prefix: "ENVIRONMENT",
            sys.base_prefix: "PYTHON",
            str(Path.home()): "~",
        },
    )
    return f"{nbformat.writes(notebook).rstrip()}\n".encode()
