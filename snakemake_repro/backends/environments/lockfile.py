"""Environment files and locks on disk: finding the lock of a file, and refusing what has none."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import snakemake_repro
from snakemake_repro.backends.environments.conda import this_platform
from snakemake_repro.backends.environments.conda_lockfile import (
    CONDA_SUFFIXES,
    NODES,
    conda_lock_path,
    foreign_lock,
    read_conda_lock,
)
from snakemake_repro.backends.environments.pylockfile import foreign_pylock, read_pylock
from snakemake_repro.backends.files import recorded_path
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.conda_lock import to_text
from snakemake_repro.logic.conda_spec import CondaSpec, parse_conda_spec
from snakemake_repro.logic.pylock import unmet
from snakemake_repro.logic.pypi_spec import PypiSpec, is_pypi, parse_spec
from snakemake_repro.logic.requirements import PypiLock, parse_lock
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentSpec, FileRecord

LOCK_SUFFIX = ".requirements.lock"
OWN_LOCKS = "locks"
"""Directory of a workflow for the locks of wrappers that come without one."""

_PACKAGE = Path(snakemake_repro.__file__).parent
_WRAPPERS = _PACKAGE / "wrappers"
_YAML_SUFFIXES = (".yaml", ".yml")
_POST_DEPLOY_SUFFIX = ".post-deploy.sh"


class UnlockedError(EnvironmentSpecError):
    """An environment file has no lock, or one that was made before the file changed."""


def lock_path(env_file: Path) -> Path:
    """Return where the lock of an environment file for pip stands: beside it.

    That of a wrapper of ours that comes without one stands in the working directory, as
    ``locks/pytorch-train.requirements.lock``: the package may be installed where nobody can write,
    and the lock belongs to the workflow.
    """
    beside = env_file.with_name(env_file.stem + LOCK_SUFFIX)
    if not env_file.is_relative_to(_WRAPPERS) or beside.exists():
        return beside
    name = "-".join(env_file.parent.relative_to(_WRAPPERS).parts)
    return Path.cwd() / OWN_LOCKS / (name + LOCK_SUFFIX)


def lock_of(env_file: Path, spec: PypiSpec | CondaSpec) -> Path:
    """Return where the lock of an environment file stands, by what the file asks for."""
    return lock_path(env_file) if isinstance(spec, PypiSpec) else conda_lock_path(env_file)


def used_lock(env_file: Path, spec: PypiSpec | CondaSpec) -> Path:
    """Return the lock that counts: another tool's if ours is not there."""
    own = lock_of(env_file, spec)
    if own.exists():
        return own
    if isinstance(spec, PypiSpec):
        return foreign_pylock(env_file) or own
    return foreign_lock(env_file, this_platform()) or own


def read_spec(env_file: Path) -> PypiSpec | CondaSpec:
    """Read an environment file.

    Raises:
        EnvironmentSpecError: It is missing, no YAML, or asks for what cannot be given.
    """
    return _parse_spec(_read_spec(env_file), env_file)


def resolve_spec(env_file: Path, root: Path, *, link_scripts: bool = False) -> EnvironmentSpec:
    """Return what a node needs to realise the environment of a file.

    Args:
        env_file: As the workflow names it; a conda lock may also be named itself.
        root: Working directory of the run.
        link_scripts: Run the link scripts of conda packages.

    Raises:
        UnlockedError: The file has no lock, or has changed since its lock was made.
        EnvironmentSpecError: File or lock cannot be used.
    """
    name = _name(env_file, root)
    if env_file.name.endswith(CONDA_SUFFIXES):
        return _conda(env_file, name=name, link_scripts=link_scripts)
    source = _read_spec(env_file)
    spec = _parse_spec(source, env_file)
    command = f"`repro lock {shlex.quote(recorded_path(env_file, root))}`"
    path = used_lock(env_file, spec)
    if not path.exists():
        raise UnlockedError(
            f"{name} is not locked: expected {_place(path, env_file, root)}",
            hint=f"{command} makes it; `--ray-environments host` runs without.",
        )
    asked = _record(source, name)
    if isinstance(spec, PypiSpec):
        return _pypi(path, asked, spec, command, lock_name=_lock_name(path, env_file, root))
    return _conda(path, name=name, source=asked, spec=spec.digest, link_scripts=link_scripts)


def require_met(spec: PypiSpec, lock: PypiLock, path: Path, *, name: str) -> None:
    """Make sure that the lock of another tool fits an environment file.

    Raises:
        UnlockedError: It does not.
    """
    line = unmet(spec, lock)
    if line is not None:
        raise UnlockedError(
            f"{name} asks for {line!r}, and {path.name} has nothing that fits",
            hint="Make that lock anew with the tool that made it, or remove it: `repro lock` makes "
            "another.",
        )


def _pypi(
    path: Path, source: FileRecord, spec: PypiSpec, command: str, *, lock_name: str
) -> EnvironmentSpec:
    data = _read_lock(path, command)
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        raise EnvironmentSpecError(
            f"the lock {path} cannot be read: {exc}", hint=f"{command} makes it anew."
        ) from exc
    if path.name.endswith(LOCK_SUFFIX):
        _check(parse_lock(text, name=str(path)).spec, spec.digest, source.path, path, command)
    else:
        lock = read_pylock(data, spec, name=str(path))
        require_met(spec, lock, path, name=source.path)
        text = lock.to_text()
    return EnvironmentSpec(
        kind=EnvironmentKind.PYPI,
        name=source.path,
        source=source,
        lock=_record(data, lock_name),
        lock_text=text,
    )


def _conda(
    path: Path,
    *,
    name: str,
    source: FileRecord | None = None,
    spec: Digest | None = None,
    link_scripts: bool,
) -> EnvironmentSpec:
    """Read a conda lock; one that another tool made does not say what it was made from."""
    data = _read_lock(path, "`repro lock`")
    lock = read_conda_lock(data, name=str(path))
    if spec is not None and lock.spec is not None:
        _check(lock.spec, spec, name, path, "`repro lock`")
    return EnvironmentSpec(
        kind=EnvironmentKind.CONDA,
        name=name,
        source=source,
        lock=_record(data, _beside(name, path)),
        lock_text=to_text(lock.for_platforms(NODES), link_scripts=link_scripts),
    )


def _check(locked: Digest, asked: Digest, name: str, path: Path, command: str) -> None:
    if locked != asked:
        raise UnlockedError(
            f"{name} has changed since {path.name} was made from it",
            hint=f"{command} brings the lock up to date.",
        )


def _read_lock(path: Path, command: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise EnvironmentSpecError(
            f"the lock {path} cannot be read: {exc.strerror}", hint=f"{command} makes it anew."
        ) from exc


def _place(path: Path, env_file: Path, root: Path) -> str:
    if path.parent == env_file.parent:
        return f"{path.name} beside it"
    return _lock_name(path, env_file, root)


def _lock_name(path: Path, env_file: Path, root: Path) -> str:
    if path.parent == env_file.parent:
        return _beside(_name(env_file, root), path)
    return recorded_path(path, root)


def _beside(name: str, path: Path) -> str:
    return Path(name).with_name(path.name).as_posix()


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


def _parse_spec(content: bytes, env_file: Path) -> PypiSpec | CondaSpec:
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
    parse = parse_spec if is_pypi(data) else parse_conda_spec
    return parse(data, name=str(env_file))


def _record(content: bytes, name: str) -> FileRecord:
    digest = Digest(hashlib.sha256(content).hexdigest())
    return FileRecord(path=name, digest=digest, size=len(content))


def _name(env_file: Path, root: Path) -> str:
    """Return the file's name in records: ours do not depend on where we are installed."""
    if env_file.is_relative_to(_PACKAGE):
        return env_file.relative_to(_PACKAGE.parent).as_posix()
    return recorded_path(env_file, root)
