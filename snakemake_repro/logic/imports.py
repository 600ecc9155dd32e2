"""What Python code imports, as far as its text says."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator


def imported(text: str, package: str = "") -> frozenset[str]:
    """Return the dotted names that code may import, wherever in it the statements stand.

    ``from a import b`` names both ``a`` and ``a.b``: whether ``b`` is a module, only files tell.
    Code that is no Python, and names that are put together at run time, give nothing.

    Args:
        text: The code.
        package: Dotted name of the package that it belongs to, for relative imports.
    """
    try:
        tree = ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    return frozenset(_names(tree, package))


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            if base is None:
                continue
            if base:
                yield base
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _base(node: ast.ImportFrom, package: str) -> str | None:
    """Return the package that is imported from; ``None`` where it lies above all."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    if node.level - 1 > len(parts):
        return None
    above = parts[: len(parts) - (node.level - 1)]
    return ".".join((*above, *([node.module] if node.module else [])))
