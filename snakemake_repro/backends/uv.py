"""uv: resolves requirements and installs them, as a subprocess."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.logic.redaction import strip_credentials

_PASSED = (
    "UV_AZURE_",
    "UV_CACHE_DIR",
    "UV_CONCURRENT_",
    "UV_CONFIG_FILE",
    "UV_CREDENTIALS_DIR",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_GCS_",
    "UV_HTTP_",
    "UV_INDEX",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_LOCK_TIMEOUT",
    "UV_NATIVE_TLS",
    "UV_NO_CACHE",
    "UV_NO_CONFIG",
    "UV_OFFLINE",
    "UV_PYTHON_INSTALL_DIR",
    "UV_REQUEST_TIMEOUT",
    "UV_S3_",
    "UV_SYSTEM_CERTS",
)
"""How packages are reached. What uv makes of them is ours to say: UV_VENV_SEED, UV_LINK_MODE,
UV_CONSTRAINT, UV_NO_VERIFY_HASHES and their like stay behind."""

_DROPPED = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__")
_ERROR_LINES = 12


def run_uv(
    arguments: Sequence[str],
    *,
    what: str,
    text: str | None = None,
    variables: Mapping[str, str] | None = None,
    inherit: Sequence[int] = (),
) -> str:
    """Run uv and return its standard output.

    It runs outside any project, so that no configuration but the user's, the system's and the
    environment's counts; paths among the arguments must be absolute.

    Args:
        arguments: Of the command.
        what: What fails when it fails, for the message.
        text: Standard input.
        variables: Environment variables to add.
        inherit: File descriptors that uv and its children keep open.

    Raises:
        EnvironmentBuildError: It ends with an error; the message holds the end of what it said.
    """
    from uv import find_uv_bin

    try:
        done = subprocess.run(
            [find_uv_bin(), *arguments],
            input=text or "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            cwd="/",
            env={**_environ(), **(variables or {})},
            pass_fds=tuple(inherit),
        )
    except OSError as exc:
        raise EnvironmentBuildError(
            f"{what}: uv cannot be started ({exc})",
            hint="uv comes with snakemake-executor-plugin-ray; install it again.",
        ) from exc
    if done.returncode != 0:
        raise EnvironmentBuildError(
            "\n  ".join([f"{what}:", *_complaint(done)]), hint=_advice(done.stderr)
        )
    return done.stdout


def _complaint(done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = [strip_credentials(line.rstrip()) for line in done.stderr.splitlines() if line.strip()]
    if done.returncode < 0:
        lines.append(f"uv was ended by signal {-done.returncode}")
    return lines[-_ERROR_LINES:] or [f"uv ended with status {done.returncode}"]


def _advice(stderr: str) -> str:
    said = " ".join(stderr.lower().split())
    if "no space left" in said or "quota exceeded" in said:
        return "Free some space, or name another place with --ray-environment-store."
    if "hash mismatch" in said:
        return (
            "The file is not the one that was locked; do not trust it. "
            "If the index is right, `repro lock` makes a new lock."
        )
    if "failed to build" in said:
        return (
            "A node builds a package with what is in the environment and with its own compilers: "
            "what the build needs must be in the `pip:` list, too."
        )
    if "no wheels" in said or "no usable wheels" in said or "only-binary" in said:
        return (
            "Only wheels are installed, nothing is compiled on a node: another version may have "
            "one for this Python and platform. `--no-binary NAME` in the `pip:` list of the "
            "environment file lets nodes build that package."
        )
    if "no solution found" in said or "not found in the" in said:
        return "Does the package index have these versions for this Python?"
    return "Is the package index reachable? uv.toml, UV_* variables and pip's settings count."


def _environ() -> dict[str, str]:
    """Return our environment without what would change what uv does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and (not name.startswith("UV_") or name.startswith(_PASSED))
    }
    return {**kept, "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
