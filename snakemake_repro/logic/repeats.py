"""What it takes to repeat a run, by its record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from snakemake_repro.errors import UsageError
from snakemake_repro.logic.commandline import without
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.made import Made
from snakemake_repro.logic.redaction import is_redacted
from snakemake_repro.records import MIN_PREFIX, FileKind, FileRecord, GitState, WorkflowRun

REPEAT_OF = "REPRO_REPEAT_OF"
"""Environment variable that tells a run which one it repeats."""

_DIRECTORY = ("-d", "--directory")
_SNAKEFILE = ("-s", "--snakefile")


def source_of(run: WorkflowRun) -> GitState:
    """Return the version control state that a run can be repeated from.

    Raises:
        UsageError: There is none that is complete.
    """
    git = run.git
    if git is None or git.commit is None:
        raise _refused(run, "its code was not committed to git")
    if git.dirty and git.diff is None:
        raise _refused(run, "its uncommitted changes were not kept")
    if git.diff is not None and is_redacted(git.diff):
        raise _refused(run, "a secret was taken out of its uncommitted changes")
    if git.submodules:
        raise _refused(run, "its repository has submodules, which are not fetched")
    return git


def arguments_of(run: WorkflowRun) -> tuple[str, ...]:
    """Return the arguments of Snakemake's command line that repeat a run from its directory.

    Raises:
        UsageError: They cannot be told from the record, or lead out of the directory.
    """
    if run.snakefile is None or PurePosixPath(run.snakefile).is_absolute():
        raise _refused(run, "its Snakefile lay outside of its working directory")
    if any(map(is_redacted, run.command)):
        raise _refused(run, "a secret was taken out of its command line")
    found = tuple(without(run.command[1:], lambda option: option in _SNAKEFILE))
    for option in (word.partition("=")[0] for word in found):
        if option in _DIRECTORY:
            raise _refused(run, f"{option} named its directory")
    return (*found, "--snakefile", run.snakefile)


def untargeted(arguments: Iterable[str], targets: Iterable[str]) -> tuple[str, ...]:
    """Return arguments without the targets among them."""
    named = frozenset(targets)
    return tuple(word for word in arguments if word not in named)


def needed(history: RunHistory, made: Iterable[Made]) -> tuple[FileRecord, ...]:
    """Return the files that a run started from, locks and environment files among them."""
    made = tuple(made)
    written = {file.path for item in made for file in item.record.spec.outputs}
    files = {
        file.path: file
        for item in made
        for file in item.record.spec.inputs
        if file.path not in written and file.kind in (FileKind.FILE, FileKind.DIRECTORY)
    }
    return (*files.values(), *locks(history))


def locks(history: RunHistory) -> Iterator[FileRecord]:
    """Yield the locks and environment files of a run."""
    for environment in history.environments.values():
        yield from (one for one in (environment.source, environment.lock) if one is not None)


def leads_out(made: Iterable[Made]) -> str | None:
    """Return an output outside of the working directory, if any: a repeat would overwrite it."""
    paths = (file.path for item in made for file in item.record.spec.outputs)
    return next((path for path in paths if path.startswith(("/", "../"))), None)


def names_directory(text: str, directory: str) -> bool:
    """Tell whether a text names a directory, or something below it, by its absolute path."""
    return bool(re.search(rf"(?<![\w./-]){re.escape(directory)}(?![\w.-])", text))


def _refused(run: WorkflowRun, why: str) -> UsageError:
    return UsageError(
        f"run {run.id[:MIN_PREFIX]} cannot be repeated from its record: {why}",
        hint="`repro report` ends with the commands that repeat it by hand.",
    )
