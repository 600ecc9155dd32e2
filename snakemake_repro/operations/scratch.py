"""A place to repeat jobs in: the recorded commit, changes and files, away from the originals."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from snakemake_repro.backends.files import holds
from snakemake_repro.backends.git_checkout import check_out, files_with
from snakemake_repro.errors import NotFoundError, StorageError, UsageError
from snakemake_repro.logic.made import Made
from snakemake_repro.logic.repeats import leads_out, names_directory, source_of
from snakemake_repro.records import MIN_PREFIX, FileKind, FileRecord, WorkflowRun

_NAMED = 3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scratch:
    """A checkout of a run's code.

    Attributes:
        root: Its working directory.
        original: That of the run.
        home: Where a repeat is tracked unless the environment names another place.
    """

    root: Path
    original: Path
    home: Path

    def place(self, files: Iterable[FileRecord], *, backwards: bool = False) -> tuple[str, ...]:
        """Put files where the run had them, copied from the original; return those that cannot.

        A file is taken only where its bytes are those of the record.

        Args:
            files: Which.
            backwards: In the reverse order of their names, which some file systems list them in.

        Raises:
            StorageError: A file cannot be copied.
        """
        ordered = sorted(files, key=lambda file: file.path, reverse=backwards)
        return tuple(file.path for file in ordered if not self._place(file, backwards=backwards))

    def _place(self, file: FileRecord, *, backwards: bool) -> bool:
        if ".." in PurePosixPath(file.path).parts:
            return False  # no path that was recorded here, but a crate may come from anyone
        here = self.root / file.path
        if holds(here, file):
            return True
        there = self.original / file.path
        if here == there or not holds(there, file):
            return False
        try:
            here.parent.mkdir(parents=True, exist_ok=True)
            if file.kind is FileKind.DIRECTORY:
                _copy_tree(there, here, backwards=backwards)
            else:
                shutil.copy2(there, here)
        except OSError as exc:
            raise StorageError(f"cannot copy {there} to {here}: {exc.strerror}") from exc
        return True


def make_scratch(
    run: WorkflowRun,
    made: Sequence[Made],
    workdir: Path,
    target: Path,
    *,
    repository: Path | None = None,
) -> Scratch:
    """Check the code of a run out.

    Args:
        run: The run.
        made: The jobs that are to be repeated.
        workdir: Its working directory, or another clone's.
        target: A directory that is not there yet.
        repository: Where the commit is, if not there: the directory in it that corresponds.

    Raises:
        UsageError: The run cannot be repeated away from its directory.
        NotFoundError: Its commit is not in the repository here.
        StorageError: It cannot be checked out.
    """
    source = source_of(run)
    outside = leads_out(made)
    if outside is not None:
        raise _overwrites(run, f"job output {outside} lies outside of the working directory")
    original = str(workdir)
    config = json.dumps(run.config, ensure_ascii=False)
    arguments = run.command[1:]  # a repeat has a Snakemake of its own, wherever the first one was
    if any(names_directory(text, original) for text in (config, *arguments)):
        raise _overwrites(run, f"command or configuration name {original}")
    origin = workdir if repository is None else repository
    root = check_out(origin, source.commit or "", target, patch=source.diff, url=source.url)
    for path in files_with(root, original):
        if names_directory(path.read_text(encoding="utf-8", errors="replace"), original):
            raise _overwrites(run, f"{path.relative_to(root)} names {original}")
    return Scratch(root=root, original=workdir, home=root if repository else workdir)


@contextlib.contextmanager
def scratch_place(
    name: str, keep: Path | None = None, parent: Path | None = None
) -> Iterator[Path]:
    """Give a directory that is not there yet, and remove it afterwards unless it is to be kept.

    Args:
        name: Its name, which is what MLflow calls a workflow outside of a remote.
        keep: Where it is to be kept.
        parent: Where it lies otherwise; ``None`` for temporary files' own directory.

    Raises:
        UsageError: It is there.
    """
    if keep is not None:
        if keep.exists():
            raise UsageError(f"{keep} is there already, expected a directory to make")
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(
        prefix="repro-", dir=parent, ignore_cleanup_errors=True
    ) as directory:
        yield Path(directory).resolve() / (name or "repeat")


def _copy_tree(source: Path, target: Path, *, backwards: bool) -> None:
    """Copy a directory, entry by entry in the order of their names or in the reverse one."""
    target.mkdir()
    for entry in sorted(os.scandir(source), key=lambda one: one.name, reverse=backwards):
        copy = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            _copy_tree(Path(entry.path), copy, backwards=backwards)
        else:
            shutil.copy2(entry.path, copy, follow_symlinks=False)
    shutil.copystat(source, target)


def missing(files: Sequence[str]) -> NotFoundError:
    """Return the error for files that are not there as they were recorded."""
    more = f" and {len(files) - _NAMED:,} more" if len(files) > _NAMED else ""
    return NotFoundError(
        f"{', '.join(files[:_NAMED])}{more}: not there with the bytes that the run read",
        hint="`repro verify` says what became of them; put them back to repeat the run.",
    )


def _overwrites(run: WorkflowRun, why: str) -> UsageError:
    return UsageError(
        f"run {run.id[:MIN_PREFIX]} cannot be repeated elsewhere: {why}, and a repeat might "
        "write there",
        hint="Name paths relative to the working directory.",
    )
