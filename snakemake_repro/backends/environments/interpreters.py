"""Python interpreters of this node: the one that runs us, and others that a lock asks for."""

from __future__ import annotations

import dataclasses
import functools
import json
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import packaging
from packaging.markers import default_environment

from snakemake_repro.backends.environments.host import interpreter_digest
from snakemake_repro.backends.files import hash_file
from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.records import Digest

_PROBE = """
import json, platform, sys, sysconfig
sys.path.append(sys.argv[1])
from packaging.markers import default_environment
json.dump({
    "executable": sys.executable,
    "base_prefix": sys.base_prefix,
    "implementation": platform.python_implementation(),
    "version": platform.python_version(),
    "abi": sysconfig.get_config_var("SOABI"),
    "platform": sysconfig.get_platform(),
    "markers": default_environment(),
}, sys.stdout)
"""
"""Our own package tells what holds for the markers of a lock: the other Python may have none."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A Python that environments can be made with.

    Attributes:
        executable: Its file, or that of the virtual environment that runs us.
        base_prefix: Where its standard library lives.
        version: Complete, as ``3.11.7``.
        abi: Tells debug, free-threaded and musl builds apart.
        platform: Of wheels, such as ``linux-x86_64``.
        markers: The marker environment (PEP 508).
        digest: SHA-256 of its file.
    """

    executable: str
    base_prefix: str
    implementation: str
    version: str
    abi: str | None
    platform: str
    markers: Mapping[str, str]
    digest: Digest

    @property
    def minor(self) -> str:
        """Its version as its directories have it: ``3.11``."""
        return self.version.rpartition(".")[0]


def own_interpreter() -> Interpreter:
    """Return the interpreter that runs us.

    Raises:
        StorageError: Its file cannot be read.
    """
    return Interpreter(
        executable=sys.executable,
        base_prefix=sys.base_prefix,
        implementation=platform.python_implementation(),
        version=platform.python_version(),
        abi=sysconfig.get_config_var("SOABI"),
        platform=sysconfig.get_platform(),
        markers={name: str(value) for name, value in default_environment().items()},
        digest=interpreter_digest(),
    )


@functools.cache
def other_interpreter(python: str) -> Interpreter:
    """Return another interpreter of this node, found as uv finds them; none is downloaded.

    Args:
        python: Version specifiers.

    Raises:
        EnvironmentBuildError: There is none, or it does not start.
        StorageError: Its file cannot be read.
    """
    what = f"there is no Python {python}"
    found = run_uv(["python", "find", "--no-project", "--system", python], what=what).strip()
    command = [found, "-I", "-c", _PROBE, str(Path(packaging.__file__).parents[1])]
    try:
        done = subprocess.run(command, capture_output=True, check=True, cwd="/")
    except (OSError, subprocess.CalledProcessError) as exc:
        raise EnvironmentBuildError(
            f"the Python {found} does not start: {exc}",
            hint="Mend that installation, or take it out of PATH.",
        ) from exc
    facts = json.loads(done.stdout)
    return Interpreter(**facts, digest=hash_file(Path(facts["executable"]).resolve())[0])


def known_versions() -> tuple[str, ...]:
    """Return the versions of Python that this node has, as far as uv finds them, sorted.

    Raises:
        EnvironmentBuildError: uv cannot tell.
    """
    what = "the interpreters of this node cannot be listed"
    options = ("--only-installed", "--no-config", "--output-format", "json")
    listed = json.loads(run_uv(["python", "list", *options], what=what))
    return tuple(sorted({platform.python_version(), *(one["version"] for one in listed)}))
