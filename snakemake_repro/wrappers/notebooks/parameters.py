"""A cell that gives a notebook its parameters, after the one tagged ``parameters``."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from snakemake_repro.wrappers.problems import WrapperError, listed, suggest

INJECTED = "injected-parameters"
_TAG = "parameters"
_LANGUAGES = ("python", "r", "julia")


def inject(notebook: Any, values: Mapping[str, Any], strict: Sequence[str]) -> int:
    """Put a cell with parameters after the one that is tagged ``parameters``, else at the top.

    A cell that an earlier run put there is replaced.

    Args:
        notebook: Of ``nbformat``; it is changed.
        values: Plain data by name.
        strict: Names that the tagged cell must set already, where it is Python: others are
            misspelt.

    Returns:
        Position of the cell.

    Raises:
        WrapperError: A name is unknown, or the notebook's language is.
    """
    cells = notebook.cells
    language = language_of(notebook)
    cells[:] = [cell for cell in cells if INJECTED not in _tags(cell)]
    tagged = next((index for index, cell in enumerate(cells) if _TAG in _tags(cell)), None)
    if tagged is not None and language == "python":
        _check(strict, cells[tagged].source)
    from nbformat.v4 import new_code_cell

    cell = new_code_cell(source=source_of(values, language), metadata={"tags": [INJECTED]})
    cell["id"] = INJECTED
    position = 0 if tagged is None else tagged + 1
    cells.insert(position, cell)
    return position


def language_of(notebook: Any) -> str:
    """Return the language of a notebook's kernel, in small letters.

    Raises:
        WrapperError: It is none that parameters can be written in.
    """
    metadata = notebook.metadata
    named = metadata.get("kernelspec", {}).get("language")
    language = str(named or metadata.get("language_info", {}).get("name") or "python").lower()
    if language not in _LANGUAGES:
        raise WrapperError(
            f"expected a notebook in one of {', '.join(_LANGUAGES)}, got one in {language}"
        )
    return language


def source_of(values: Mapping[str, Any], language: str) -> str:
    """Return assignments of plain data to names, one a line."""
    head = "# given by the rule"
    sign = "<-" if language == "r" else "="
    write = {"python": _python, "r": _r, "julia": _julia}[language]
    return "\n".join([head, *(f"{name} {sign} {write(value)}" for name, value in values.items())])


def _tags(cell: Any) -> Sequence[str]:
    tags: Sequence[str] = cell.metadata.get("tags", ())
    return tags


def _check(names: Sequence[str], source: str) -> None:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return  # magics, which only IPython reads
    stored = (n for n in ast.walk(tree) if isinstance(n, ast.Name))
    known = [node.id for node in stored if isinstance(node.ctx, ast.Store)]
    for name in names:
        if name not in known:
            raise WrapperError(
                f"params: the notebook has no parameter {name!r}: its cell tagged {_TAG} sets "
                f"{listed(known)}",
                hint=suggest(name, known),
            )


def _python(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, list):
        return f"[{', '.join(map(_python, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_python(item)}' for key, item in value.items())}}}"
    return repr(value)


def _r(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    if isinstance(value, int):
        return f"{value}L" if abs(value) < 2**31 else f"{value}"
    if isinstance(value, float):
        return _number(value, nan="NaN", infinite="Inf")
    if isinstance(value, list):
        return f"list({', '.join(map(_r, value))})"
    if isinstance(value, dict):
        return f"list({', '.join(f'{json.dumps(k)} = {_r(item)}' for k, item in value.items())})"
    return _text(value)


def _julia(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return _number(value, nan="NaN", infinite="Inf")
    if isinstance(value, list):
        return f"[{', '.join(map(_julia, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_julia(key)} => {_julia(item)}" for key, item in value.items())
        return f"Dict({', '.join(pairs)})"
    return str(value) if isinstance(value, int) else _text(value).replace("$", r"\$")


def _number(value: float, *, nan: str, infinite: str) -> str:
    if math.isnan(value):
        return nan
    return repr(value) if math.isfinite(value) else f"{'-' if value < 0 else ''}{infinite}"


def _text(value: str) -> str:
    """Return text in quotes, with the escapes of JSON, which R and Julia know."""
    return json.dumps(value, ensure_ascii=False)
