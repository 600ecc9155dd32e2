"""Wrappers that record themselves under any executor: ``wrapper: repro("xgboost/train")``."""

from __future__ import annotations

from pathlib import Path


def wrapper(name: str) -> str:
    """Return the URL of one of our wrappers, for Snakemake's ``wrapper:`` directive.

    An absolute URL leaves ``--wrapper-prefix`` to the official wrapper collection.

    Args:
        name: Such as ``xgboost/train``.

    Raises:
        UsageError: There is no such wrapper.
    """
    return folder_of(name).as_uri()


def folder_of(name: str) -> Path:
    """Return the directory of one of our wrappers.

    Raises:
        UsageError: There is no such wrapper.
    """
    root = Path(__file__).resolve().parent
    known = sorted(str(p.parent.relative_to(root)) for p in root.rglob("wrapper.py"))
    if name not in known:
        from snakemake_repro.errors import UsageError

        raise UsageError(
            f"there is no wrapper {name!r}: expected one of {', '.join(known)}",
            hint="docs/reference/wrappers describes them.",
        )
    return root / name
