"""The command of a ``shell:`` rule, as plain data."""

from __future__ import annotations

from typing import Any

from snakemake_repro.backends.snakemake_direct import (
    TBD,
    IndirectError,
    UndecidedError,
    format_roots,
)
from snakemake_repro.backends.snakemake_modules import modules_of
from snakemake_repro.logic import shelltext
from snakemake_repro.records.tasks import Command

_FIELDS = frozenset(
    ("input", "output", "params", "wildcards", "threads", "resources", "log", "rule", "jobid")
)


def shell_command(job: Any, workflow: Any, *, tmpdir: str | None, wanted: bool) -> Command:
    """Translate the command of a ``shell:`` rule, formatted as Snakemake's ``shell()`` does it.

    Args:
        job: Its job.
        workflow: Snakemake's.
        tmpdir: Where the job asks for its temporary directory.
        wanted: Whether the command uses it.

    Raises:
        IndirectError: The command formats what only Snakemake can give.
        UndecidedError: It formats a value that is known on the node only.
    """
    from snakemake.shell import shell
    from snakemake.utils import format as format_command

    template = job.rule.shellcmd
    available = job.rule.run_func.__globals__
    values = _values(job)
    extra = {}
    for field in format_roots(template):
        if field not in values:
            if field not in available:
                raise IndirectError(f"the command formats {field!r}")
            extra[field] = available[field]
    text = format_command(template, quote_func=shelltext.quote, **{**values, **extra})
    if TBD in text:
        raise UndecidedError
    executable = job.resources.get("shell_exec") or shell.get_executable()
    if executable is None:
        raise IndirectError("no shell")
    shell._check_executable(executable)  # noqa: SLF001 - the checks of shell() itself
    prefix = shell._get_process_prefix(executable)  # noqa: SLF001
    suffix = shell._process_suffix  # noqa: SLF001
    text = f"{prefix} {text} {suffix}".strip()
    if modules_of(job, workflow):
        text = job.rule.env_modules.shellcmd(text)
    return Command(
        kind="shell",
        text=text,
        executable=str(executable),
        tmpdir=tmpdir,
        tmpdir_wanted=wanted,
    )


def _values(job: Any) -> dict[str, Any]:
    resources = job.resources._clone()  # noqa: SLF001 - Namedlist's way to copy
    if "tmpdir" in resources.keys():  # noqa: SIM118 - a Namedlist is a list
        resources.tmpdir = shelltext.TMPDIR_TOKEN
    values = {
        "input": job.input._plainstrings(),  # noqa: SLF001
        "output": job.output._plainstrings(),  # noqa: SLF001
        "params": job.params,
        "wildcards": job.wildcards,
        "threads": job.threads,
        "resources": resources,
        "log": job.log._plainstrings(),  # noqa: SLF001
        "rule": job.rule.name,
        "jobid": job.jobid,
    }
    assert values.keys() == _FIELDS
    return values
