"""Find the environment files of a workflow."""

from __future__ import annotations

import os
from pathlib import Path

from snakemake_repro.errors import NotFoundError

_DIRECTORY = "envs"
_SUFFIXES = (".yaml", ".yml")
_LOCK_ENDINGS = (".lock.yml", ".lock.yaml", ".conda-lock.yml", ".conda-lock.yaml")


def find_environment_files(workdir: Path, *, needed: bool = True) -> list[Path]:
    """Return the YAML files in directories called ``envs``, sorted; hidden ones are passed over.

    Args:
        workdir: Where to look.
        needed: There must be one.

    Raises:
        NotFoundError: There is none.
    """
    found = []
    for top, directories, files in os.walk(workdir):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        if Path(top).name == _DIRECTORY:
            found += [
                Path(top, name)
                for name in sorted(files)
                if name.endswith(_SUFFIXES) and not name.endswith(_LOCK_ENDINGS)
            ]
    if not found and needed:
        raise NotFoundError(
            f"no environment file below {workdir}: expected YAML files in a directory "
            f"called {_DIRECTORY!r}",
            hint="Name the files: repro lock path/to/environment.yaml",
        )
    return found
