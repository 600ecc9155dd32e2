"""Snakemake's own kinds of values as plain ones."""

from __future__ import annotations

import shlex
from typing import Any

from snakemake_repro.logic import plain
from snakemake_repro.records import Comparator, Json

_COMPARATOR = "repro_comparator"


def kind_of(job: Any) -> str:
    """Return which of Snakemake's kinds of rules a job is of."""
    kinds = {
        "norun": job.is_norun,
        "shell": job.is_shell,
        "script": job.is_script,
        "wrapper": job.is_wrapper,
        "notebook": job.is_notebook,
        "cwl": job.is_cwl,
        "template": job.is_template_engine,
    }
    return next((kind for kind, applies in kinds.items() if applies), "run")


def flags_of(file: Any) -> set[str]:
    """Return Snakemake's markers of a file."""
    return set(getattr(file, "flags", None) or ())


def comparator_of(file: Any) -> Comparator | None:
    """Return how repeats of an output are compared, if its rule declares that."""
    found = (getattr(file, "flags", None) or {}).get(_COMPARATOR)
    return found if isinstance(found, Comparator) else None


def with_comparator(path: Any, comparator: Comparator) -> Any:
    """Return what an output directive takes, marked with a comparator."""
    from snakemake.io import flag

    return flag(path, _COMPARATOR, comparator)


def named(files: Any) -> dict[str, Json]:
    """Encode one of Snakemake's named lists, see ``agent.calls``."""
    names = [[name, start, end] for name, (start, end) in files._get_names()]  # noqa: SLF001
    return {"items": [plain.encode(builtin(item)) for item in files], "names": names}


def builtin(value: Any) -> Any:
    """Return Snakemake's own containers and strings as the built-in types they behave as."""
    from snakemake.io import AnnotatedString
    from snakemake.iocontainers import Namedlist

    if isinstance(value, AnnotatedString):
        return str(value)
    if isinstance(value, Namedlist):
        if list(value.keys()):
            raise plain.NotPlainError("a named list inside a list")
        return [builtin(item) for item in value]
    if type(value) is list:
        return [builtin(item) for item in value]
    if isinstance(value, dict) and type(value).__name__ in ("OrderedDict", "CommentedMap"):
        return {key: builtin(item) for key, item in value.items()}
    return value


def scalar(value: Any) -> Any:
    """Return a resource's value, strings as such."""
    return str(value) if isinstance(value, str) else value


def members_of(job: Any) -> list[Any]:
    """Return the jobs of a group, or the one that is none."""
    return list(job) if job.is_group() else [job]


def asker_of(job: Any) -> str:
    """Name a job or group job in a message: groups of pipes and services have no name of ours."""
    names = dict.fromkeys(member.rule.name for member in members_of(job))
    return f"the group of {', '.join(names)}" if job.is_group() else f"rule {job.rule.name}"


def argv_of(command: str) -> list[str]:
    """Return the arguments after ``-m snakemake`` of a command that Snakemake formatted."""
    tokens = shlex.split(command)
    return tokens[tokens.index("snakemake", tokens.index("-m")) + 1 :]
