"""What a job leaves in ``$REPRO_ARTIFACTS``: kept beside the journal, also when MLflow has it.

Any job may put files and directories there, in any language; their names need no declaration.
"""

from __future__ import annotations

import os
import re
import shutil
import stat as modes
from collections.abc import Iterator
from pathlib import Path

from snakemake_repro.backends.files import observe
from snakemake_repro.backends.journal import store_root
from snakemake_repro.errors import StorageError
from snakemake_repro.records import FileRecord
from snakemake_repro.records.tasks import Task

_FOLDER = "artifacts"
_NAMEABLE = re.compile(r"[\w .+=,@~()-]+")


def artifacts_root(workdir: Path, run_id: str) -> Path:
    """Return where a run's artifacts are kept, in a directory for each attempt."""
    return store_root(workdir) / _FOLDER / run_id


def artifacts_name(task: Task) -> str:
    """Return where a task's artifacts are kept, relative to the working directory."""
    return str(artifacts_root(Path(), task.run_id) / task.members[0].id)


def keep(source: Path, place: Path) -> tuple[tuple[FileRecord, ...], tuple[str, ...]]:
    """Move all of a directory to where it is kept.

    Links and what is neither file nor directory are dropped: what a link leads to is not the
    job's, and would be sent to MLflow. So are names that do not survive an URL.

    Args:
        source: What the job wrote; it need not exist.
        place: Of the attempt.

    Returns:
        One record for each entry of the directory, by its name, and what could not be kept.
    """
    try:
        names = sorted(os.listdir(source))  # noqa: PTH208 - names, which need not be Unicode
    except OSError:
        return (), ()
    if not names:
        return (), ()
    problems = [f"artifact {name!r} was not kept: {reason}" for name, reason in _drop(source)]
    kept = []
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            if (source / name).exists():
                shutil.move(source / name, place / name)
                kept.append(observe(place / name, root=place))
    except OSError as exc:
        problems.append(f"artifacts could not be kept: {exc.strerror or exc}")
    except StorageError as exc:
        problems.append(f"artifacts could not be kept: {exc.message}")
    return tuple(kept), tuple(problems)


def _drop(directory: Path) -> Iterator[tuple[str, str]]:
    """Remove what cannot be kept; yield its name and why."""
    for root, folders, files in os.walk(directory):
        for name in (*folders, *files):
            path = Path(root, name)
            mode = path.lstat().st_mode
            if not (modes.S_ISREG(mode) or modes.S_ISDIR(mode)):
                reason = "it is neither file nor directory"
            elif not _NAMEABLE.fullmatch(name):
                reason = "MLflow takes letters, digits, spaces and ._-+=,@~() in names"
            else:
                continue
            if modes.S_ISDIR(mode):
                folders.remove(name)
                shutil.rmtree(path)
            else:
                path.unlink()
            yield str(path.relative_to(directory)), reason
