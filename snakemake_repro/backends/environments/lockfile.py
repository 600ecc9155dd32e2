"""Environment files and locks on disk: finding the lock of a file, and refusing what has none."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import snakemake_repro
from snakemake_repro.backends.files import recorded_path
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.pypi_spec import PypiSpec, parse_spec
from snakemake_repro.logic.requirements import parse_lock
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentSpec, FileRecord

LOCK_SUFFIX = ".requirements.lock"
_YAML_SUFFIXES = (".yaml", ".yml")
_POST_DEPLOY_SUFFIX = ".post-deploy.sh"


def lock_path(env_file: Path) -> Path:
    """Return where the lock of an environment file stands: beside it."""
    return env_file.with_name(env_file.stem + LOCK_SUFFIX)


def read_spec(env_file: Path) -> PypiSpec:
    """Read an environment file.

    Raises:
        EnvironmentSpecError: It is missing, no YAML, or asks for what cannot be given.
    """
    return _parse_spec(_read_spec(env_file), env_file)


def resolve_spec(env_file: Path, root: Path) -> EnvironmentSpec:
    """Return what a node needs to realise the environment of a file.

    Args:
        env_file: As the workflow names it.
        root: Working directory of the run.

    Raises:
        EnvironmentSpecError: The file cannot be used, has no lock, or has changed since its lock.
    """
    source = _read_spec(env_file)
    spec = _parse_spec(source, env_file)
    path = lock_path(env_file)
    name = _name(env_file, root)
    command = f"`repro lock {shlex.quote(recorded_path(env_file, root))}`"
    try:
        data = path.read_bytes()
        text = data.decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError as exc:
        raise EnvironmentSpecError(
            f"{name} is not locked: expected {path.name} beside it",
            hint=f"{command} makes it; `--ray-environments host` runs without.",
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise EnvironmentSpecError(
            f"the lock {path} cannot be read: {exc}", hint=f"{command} makes it anew."
        ) from exc
    lock = parse_lock(text, name=str(path))
    if lock.spec != spec.digest:
        raise EnvironmentSpecError(
            f"{name} has changed since {path.name} was made from it",
            hint=f"{command} brings the lock up to date.",
        )
    return EnvironmentSpec(
        kind=EnvironmentKind.PYPI,
        name=name,
        source=_record(source, name),
        lock=_record(data, Path(name).with_name(path.name).as_posix()),
        lock_text=text,
    )


def _read_spec(env_file: Path) -> bytes:
    if env_file.suffix not in _YAML_SUFFIXES:
        raise EnvironmentSpecError(
            f"{env_file} is no environment file: expected a name that ends in .yaml",
            hint="Name the environment file itself; its lock is found beside it.",
        )
    try:
        return env_file.read_bytes()
    except OSError as exc:
        raise EnvironmentSpecError(
            f"the environment file {env_file} cannot be read: {exc.strerror}",
            hint="The path in `conda:` is relative to the Snakefile that names it.",
        ) from exc


def _parse_spec(content: bytes, env_file: Path) -> PypiSpec:
    import yaml

    script = env_file.with_name(env_file.stem + _POST_DEPLOY_SUFFIX)
    if script.exists():
        raise EnvironmentSpecError(
            f"{env_file} has the script {script.name} beside it, which Snakemake runs in the new "
            "environment: what it does there cannot be locked",
            hint="Move what it does into a rule, or use `--ray-environments host`.",
        )
    try:
        data = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        problem = " ".join(str(exc).split())
        raise EnvironmentSpecError(
            f"the environment file {env_file} is no YAML: {problem}", hint="Mend its syntax."
        ) from exc
    return parse_spec(data, name=str(env_file))


def _record(content: bytes, name: str) -> FileRecord:
    digest = Digest(hashlib.sha256(content).hexdigest())
    return FileRecord(path=name, digest=digest, size=len(content))


def _name(env_file: Path, root: Path) -> str:
    """Return the file's name in records: ours do not depend on where we are installed."""
    package = Path(snakemake_repro.__file__).parent
    if env_file.is_relative_to(package):
        return env_file.relative_to(package.parent).as_posix()
    return recorded_path(env_file, root)
