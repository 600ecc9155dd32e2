"""Where a rule's body stands in its Snakefile, as Snakemake's own messages say it."""

from __future__ import annotations

from typing import Any


def place_of(job: Any, workflow: Any) -> str | None:
    """Return file and line of a rule's ``shell``, ``script``, ``wrapper`` or ``notebook``.

    Snakemake takes them from the traceback through the compiled rule. Where the job ran from plain
    data there was none, but the rule is still the same.
    """
    code = job.rule.run_func.__code__
    lines = workflow.linemaps.get(code.co_filename)
    if lines is None:
        return None
    called = next((line for _, _, line in code.co_lines() if line != code.co_firstlineno), None)
    return f'"{code.co_filename}", line {lines[called]}' if called in lines else None
