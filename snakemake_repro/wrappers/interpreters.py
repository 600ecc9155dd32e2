"""What runs a script, and what every script of a user finds: by its ending or its first line."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from snakemake_repro.wrappers.problems import WrapperError

_BY_SUFFIX: Mapping[str, str] = {
    ".py": "python",
    ".sh": "bash",
    ".bash": "bash",
    ".r": "Rscript",
    ".jl": "julia",
}
_SHELLS = ("bash", "sh", "dash", "zsh", "ksh")
"""The system's, in a pinned environment as well; see ``agent.scripts``."""
_SYSTEM = ("/bin", "/usr/bin", "/usr/local/bin")
_FIRST_LINE = 1024
"""More bytes than any system reads of it."""


def interpreter_of(script: Path, wanted: Sequence[str] = ()) -> list[str]:
    """Return the program that runs a script, with options of its own.

    That is what is wanted, else what the script's first line names (``#!``), else what its ending
    means. An empty list is for a program without either, which starts by itself. Python is the one
    that runs this; other programs of a pinned environment are its own, never the host's.

    Args:
        script: Must be there.
        wanted: A program and its options.

    Raises:
        WrapperError: It cannot be told, or the environment has no such program.
        OSError: The script cannot be read.
    """
    words = list(wanted) or _named_by(script)
    if not words:
        named = _BY_SUFFIX.get(script.suffix.lower())
        if named is None:
            if os.access(script, os.X_OK):
                return []
            raise WrapperError(
                f"{script}: expected a script that says what runs it: one of "
                f"{', '.join(_BY_SUFFIX)} as its ending, or a first line that begins with #!",
                hint="or name the program with params: interpreter=",
            )
        words = [named]
    return [_program(words[0], script), *words[1:]]


def _named_by(script: Path) -> list[str]:
    """Return the words of a script's ``#!`` line, without ``env``."""
    with script.open("rb") as file:
        line = file.readline(_FIRST_LINE)
    if not line.startswith(b"#!"):
        return []
    words = line[2:].decode("utf-8", "replace").split()
    if words and PurePosixPath(words[0]).name == "env":
        words = words[1:]
        if words and words[0] == "-S":
            words = words[1:]
    return words


def _program(name: str, script: Path) -> str:
    place = PurePosixPath(name)
    if str(place.parent) in _SYSTEM:
        name = place.name  # an environment's own comes first
    if name in ("python", "python3"):
        return sys.executable
    own = own_programs()
    if own is None or "/" in name or name in _SHELLS:
        found = shutil.which(name)
    else:
        found = shutil.which(name, path=own)
    if found is None:
        where = "found" if own is None else "in the environment of the rule"
        raise WrapperError(
            f"{script}: expected {name} to run it with, which is not {where}",
            hint="add it to the environment that the rule names in conda:",
        )
    return found


def own_programs() -> str | None:
    """Return the directory of a pinned environment's programs; ``None`` where the host's do."""
    found = json.loads(os.environ.get("REPRO_JOB") or "{}").get("programs")
    return None if found is None else str(found)


def python_path() -> str:
    """Return a ``PYTHONPATH`` with which another Python of this environment finds this package."""
    import snakemake_repro

    ours = str(Path(snakemake_repro.__file__).parents[1])
    inherited = os.environ.get("PYTHONPATH")
    return ours if not inherited else f"{inherited}{os.pathsep}{ours}"


def text_of(value: Any) -> str:
    """Return a parameter for a variable: text as it is, anything else as JSON.

    Raises:
        TypeError: It is no plain data.
    """
    return value if isinstance(value, str) else json.dumps(value)
