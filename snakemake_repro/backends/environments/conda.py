"""An environment of conda packages, installed from a lock without conda."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import platform
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.backends.environments.conda_activation import activation
from snakemake_repro.backends.environments.indexes import indexes
from snakemake_repro.backends.environments.leaks import without_leaks
from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.conda_lock import CONDA, PIP, LockedFile, from_text
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import EnvironmentKind, EnvironmentRecord, EnvironmentSpec, Package

ENVIRONMENT_TAG = "CondaEnvironment/1"
"""Raise the number whenever the same lock would give another environment."""

_MACHINES = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le"}
_ACTIVATION = "conda-meta/repro-activation.json"
_PYTHON = "python"
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class CondaEnvironment:
    """A realised environment; a ``RealisedEnvironment``."""

    def __init__(self, prefix: Path, record: EnvironmentRecord) -> None:
        self._prefix = prefix
        self._record = record
        self._activation: dict[str, Any] = json.loads((prefix / _ACTIVATION).read_bytes())

    @property
    def record(self) -> EnvironmentRecord:
        """What it consists of."""
        return self._record

    @property
    def python(self) -> str | None:
        """Its interpreter, if it has one."""
        path = interpreter(self._prefix)
        return str(path) if path.exists() else None

    @property
    def programs(self) -> str:
        """Where it has its programs."""
        return str(self._prefix / "bin")

    @property
    def directories(self) -> tuple[str, ...]:
        """Its prefix."""
        return (str(self._prefix),)

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return ``base`` as the environment's activation changes it."""
        kept = without_leaks(base)
        search = f"{self._activation['path']}:{base.get('PATH') or os.defpath}"
        return {**kept, **self._activation["variables"], "PATH": search, "PYTHONNOUSERSITE": "1"}


def interpreter(prefix: Path) -> Path:
    """Return where an environment has its Python, if it has one."""
    return prefix / "bin" / "python"


def witness(prefix: Path) -> Path:
    """Return a file that every complete environment has."""
    return prefix / _ACTIVATION


def this_platform() -> str:
    """Return this machine as conda names it."""
    return _MACHINES.get(platform.machine(), f"linux-{platform.machine()}")


def plan(
    spec: EnvironmentSpec, place: str | None = None
) -> tuple[EnvironmentRecord, tuple[LockedFile, ...], bool]:
    """Return what the environment will be, its files, and whether link scripts run.

    Args:
        spec: Of a conda environment.
        place: Platform as conda names it; by default this node's.

    Raises:
        EnvironmentSpecError: The lock cannot be used.
        EnvironmentBuildError: It is not made for the platform.
    """
    if spec.lock_text is None:
        raise EnvironmentSpecError(f"the environment {spec.name} came without its lock")
    name = spec.lock.path if spec.lock else spec.name
    every, link_scripts = from_text(spec.lock_text, name=name)
    wanted = f"this node is {this_platform()}" if place is None else f"not for {place}"
    place = place or this_platform()
    files = tuple(file for file in every if file.platform == place)
    if not files:
        known = ", ".join(sorted({file.platform for file in every})) or "no platform of Linux"
        raise EnvironmentBuildError(
            f"the environment {spec.name} is locked for {known}, {wanted}",
            hint=f"`repro lock --platform {place}` adds this platform to the lock.",
        )
    content = [
        place,
        link_scripts,
        sorted([f.channel, f.file_name, str(f.sha256)] for f in files if f.manager == CONDA),
        sorted([f.name, f.version, str(f.sha256)] for f in files if f.manager == PIP),
    ]
    versions = {file.name: file.version for file in files if file.manager == CONDA}
    record = EnvironmentRecord(
        digest=digest_of(ENVIRONMENT_TAG, content),
        kind=EnvironmentKind.CONDA,
        pinned=True,
        name=spec.name,
        platform=place,
        python=versions.get(_PYTHON),
        source=spec.source,
        lock=spec.lock,
        packages=tuple(
            Package(
                name=file.name,
                version=file.version,
                digests=(file.sha256,),
                build=file.build,
                channel=file.channel,
            )
            for file in sorted(files, key=lambda file: (file.name, file.manager))
        ),
    )
    return record, files, link_scripts


def build(
    prefix: Path,
    name: str,
    files: Sequence[LockedFile],
    *,
    link_scripts: bool,
    cache: Path,
    lock: int,
) -> None:
    """Make the environment at its final place, and keep what its activation changes.

    Scripts of packages run once here, and not in each job.

    Raises:
        EnvironmentBuildError: It cannot be made from the lock.
    """
    install(prefix, name, files, link_scripts=link_scripts, cache=cache, lock=lock)
    content = json.dumps(dataclasses.asdict(activation(prefix, name)), sort_keys=True)
    (prefix / _ACTIVATION).write_text(content, encoding="utf-8")


def install(
    prefix: Path,
    name: str,
    files: Sequence[LockedFile],
    *,
    cache: Path,
    lock: int,
    link_scripts: bool = False,
    target: Path | None = None,
) -> None:
    """Install the packages of an environment.

    Args:
        prefix: Absolute.
        name: Of the environment, for messages.
        files: What to install.
        cache: Directory of unpacked packages, on the same file system.
        lock: Descriptor that locks the prefix; children hold it, too.
        link_scripts: Run the scripts that packages bring for the time after they were linked.
        target: Where the environment will be when it is used, if not at ``prefix``; what pip's
            packages have of the prefix in them stays, and nothing is compiled.

    Raises:
        EnvironmentBuildError: It cannot be made from the lock.
    """
    what = f"the environment {name} cannot be built"
    conda = [file for file in files if file.manager == CONDA]
    pip = [file for file in files if file.manager == PIP]
    try:
        _install(prefix, conda, link_scripts=link_scripts, cache=cache, target=target)
    except Exception as exc:
        if not type(exc).__module__.startswith(("exceptions", "rattler")):
            raise
        raise _build_error(what, exc) from exc
    if pip:
        if not interpreter(prefix).exists():
            raise EnvironmentBuildError(
                f"{what}: it has packages for pip, but no Python", hint="Add python to its file."
            )
        _install_pip(prefix, pip, what=what, lock=lock, compiled=target is None)


def _install(
    prefix: Path,
    files: Sequence[LockedFile],
    *,
    link_scripts: bool,
    cache: Path,
    target: Path | None,
) -> None:
    import rattler

    config = rattler.Config()
    # creating a file costs ten times as much as linking it; scripts may edit what they find, and
    # an environment for another place is edited
    alone = link_scripts or target is not None
    config.set("allow-hard-links", "false" if alone else "true")
    options: dict[str, Any] = {
        "package_cache": rattler.PackageCache.new_layered(
            [cache], validation_mode=rattler.ValidationMode.full()
        ),
        "client": rattler.Client.authenticated_client(),
        "config": config,
        "show_progress": False,
        "execute_link_scripts": link_scripts,
        "platform": rattler.Subdir(files[0].platform) if files else None,
        "alternative_target_prefix": target,
    }
    guess = _site_packages(*cache.glob(f"{_stem(files)}/info"))
    _link(prefix, files, guess, options)
    # conda-lock's format has lost where a Python keeps packages; only the package itself knows
    known = _site_packages(*_unpacked(prefix))
    if known != guess:
        shutil.rmtree(prefix)
        _link(prefix, files, known, options)
    _protect(prefix)


def _protect(prefix: Path) -> None:
    """Take the right to write from files that the environment shares with others."""
    for directory, _, names in os.walk(prefix):
        for name in names:
            path = f"{directory}/{name}"
            state = os.lstat(path)
            if stat.S_ISREG(state.st_mode) and state.st_nlink > 1 and state.st_mode & _WRITABLE:
                Path(path).chmod(stat.S_IMODE(state.st_mode) & ~_WRITABLE)


def _link(
    prefix: Path,
    files: Sequence[LockedFile],
    site_packages: str | None,
    options: Mapping[str, Any],
) -> None:
    import rattler

    records = [_record(file, site_packages) for file in files]

    async def install() -> None:
        await rattler.install(records, prefix, **options)

    asyncio.run(install())


def _record(file: LockedFile, site_packages: str | None) -> Any:
    import rattler

    url = os.path.expandvars(file.url)
    directory, _, file_name = url.rpartition("/")
    channel, _, subdir = directory.rpartition("/")
    record = rattler.PackageRecord(
        file.name,
        file.version,
        rattler.BuildString.new_unchecked(file.build or ""),
        0,
        subdir,
        sha256=bytes.fromhex(file.sha256.value),
        md5=bytes.fromhex(file.md5) if file.md5 else None,
        python_site_packages_path=site_packages if file.name == _PYTHON else None,
    )
    return rattler.RepoDataRecord(record, file_name, url, channel)


def _stem(files: Sequence[LockedFile]) -> str:
    """Return what the cache calls the Python among some packages."""
    python = next((file for file in files if file.name == _PYTHON), None)
    return "-" if python is None else f"{python.name}-{python.version}-{python.build}"


def _unpacked(prefix: Path) -> Iterator[Path]:
    """Yield the unpacked metadata of an environment's Python, if it has one."""
    for meta in (prefix / "conda-meta").glob(f"{_PYTHON}-[0-9]*.json"):
        yield Path(json.loads(meta.read_bytes())["extracted_package_dir"], "info")


def _site_packages(*info: Path) -> str | None:
    """Return where a Python keeps its packages, if it says so."""
    for directory in info:
        found = json.loads((directory / "index.json").read_bytes())
        if path := found.get("python_site_packages_path"):
            return str(path)
    return None


def _install_pip(
    prefix: Path, files: Sequence[LockedFile], *, what: str, lock: int, compiled: bool
) -> None:
    sources = indexes(portable=False)
    lines = [f"{file.name}=={file.version} --hash={file.sha256}\n" for file in files]
    run_uv(
        [
            *("pip", "install", "--quiet", "--python", str(interpreter(prefix))),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
            *("--link-mode", "copy", "--break-system-packages"),
            *(["--compile-bytecode"] if compiled else []),
            *sources.arguments,
            *("-r", "-"),
        ],
        what=what,
        text="".join(lines),
        # what uv asks the Python would leave compiled files behind
        variables={**sources.variables, "PYTHONDONTWRITEBYTECODE": "1"},
        inherit=[lock],
    )


def _build_error(what: str, exc: Exception) -> EnvironmentBuildError:
    text = strip_credentials(" ".join(str(exc).split()))
    said = text.lower()
    hint = "Is the channel reachable? Proxies and credentials are those of rattler and conda."
    if "hash mismatch" in said:
        hint = (
            "The file is not the one that was locked; do not trust it. "
            "If the channel is right, `repro lock --upgrade` makes a new lock."
        )
    elif "no space left" in said or "quota exceeded" in said:
        hint = "Free some space, or name another place with --ray-environment-store."
    return EnvironmentBuildError(f"{what}: {text}", hint=hint)
