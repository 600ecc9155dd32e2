"""Environment files and locks on disk: finding the lock of a file, and refusing what has none."""

from __future__ import annotations

from pathlib import Path

import snakemake_repro
from snakemake_repro.backends.files import hash_file, recorded_path
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.requirements import PypiSpec, parse_lock, parse_spec
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec, FileRecord

LOCK_SUFFIX = ".requirements.lock"
_YAML_SUFFIXES = (".yaml", ".yml")


def lock_path(env_file: Path) -> Path:
    """Return where the lock of an environment file stands: beside it."""
    return env_file.with_name(env_file.stem + LOCK_SUFFIX)


def read_spec(env_file: Path) -> PypiSpec:
    """Read an environment file.

    Raises:
        EnvironmentSpecError: It is missing, no YAML, or asks for what cannot be given.
    """
    import yaml

    if env_file.suffix not in _YAML_SUFFIXES:
        raise EnvironmentSpecError(
            f"{env_file} is no environment file: expected a name that ends in .yaml",
            hint="Name the environment file itself; its lock is found beside it.",
        )
    try:
        text = env_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise EnvironmentSpecError(
            f"the environment file {env_file} cannot be read: {exc}",
            hint="The path in `conda:` is relative to the Snakefile that names it.",
        ) from exc
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        problem = " ".join(str(exc).split())
        raise EnvironmentSpecError(
            f"the environment file {env_file} is no YAML: {problem}", hint="Mend its syntax."
        ) from exc
    return parse_spec(data, name=str(env_file))


def resolve_spec(env_file: Path, root: Path) -> EnvironmentSpec:
    """Return what a node needs to realise the environment of a file.

    Args:
        env_file: As the workflow names it.
        root: Working directory of the run.

    Raises:
        EnvironmentSpecError: The file cannot be used, has no lock, or has changed since its lock.
    """
    spec = read_spec(env_file)
    path = lock_path(env_file)
    name = _name(env_file, root)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise EnvironmentSpecError(
            f"{name} is not locked: expected {path.name} beside it",
            hint=f"`repro lock {name}` makes it; `--ray-environments host` runs without.",
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise EnvironmentSpecError(
            f"the lock {path} cannot be read: {exc}", hint="Mend its permissions."
        ) from exc
    lock = parse_lock(text, name=str(path))
    if lock.spec != spec.digest:
        raise EnvironmentSpecError(
            f"{name} has changed since {path.name} was made from it",
            hint=f"`repro lock {name}` brings the lock up to date.",
        )
    return EnvironmentSpec(
        kind=EnvironmentKind.PYPI,
        name=name,
        source=_record(env_file, name),
        lock=_record(path, str(Path(name).with_name(path.name))),
        lock_text=text,
    )


def find_environment_files(root: Path) -> list[Path]:
    """Return the environment files in the usual places of a workflow, sorted."""
    patterns = ("envs", "workflow/envs")
    found = [
        path
        for folder in patterns
        for suffix in _YAML_SUFFIXES
        for path in (root / folder).glob(f"**/*{suffix}")
    ]
    return sorted(found)


def _record(path: Path, name: str) -> FileRecord:
    digest, size = hash_file(path)
    return FileRecord(path=name, digest=digest, size=size)


def _name(env_file: Path, root: Path) -> str:
    """Return the file's name in records: ours do not depend on where we are installed."""
    package = Path(snakemake_repro.__file__).parent
    if env_file.is_relative_to(package):
        return env_file.relative_to(package.parent).as_posix()
    return recorded_path(env_file, root)
