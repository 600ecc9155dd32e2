"""Exact packages as other tools than conda-lock write them down: pin files, and pixi's locks.

A pin file is conda's own explicit format for one platform, which Snakemake reads as well:
``@EXPLICIT`` and an address with a digest in each line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from snakemake_repro.errors import EnvironmentSpecError, RecordError
from snakemake_repro.logic.conda_lock import CONDA, PACKAGE_FILE, PIP, CondaLock, LockedFile
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import Digest, Json

PIXI_FORMAT = 6

_EXPLICIT = "@EXPLICIT"
_DEFAULT = "default"
_WEB = ("http", "https", "file")
_SHA256 = re.compile(r"(?:sha256[:=])?(?P<sha256>[0-9a-f]{64})")
_MD5 = re.compile(r"(?:md5[:=])?[0-9a-f]{32}")
_PIP = re.compile(r"#\s*pip\s+(?P<name>[A-Za-z0-9._-]+)\s*@\s*(?P<address>\S+)")


def parse_pins(text: str, *, platform: str, name: str) -> CondaLock:
    """Read a pin file.

    Args:
        text: Its content.
        platform: For which it is, as its name says.
        name: How to call it in messages.

    Raises:
        EnvironmentSpecError: It is no pin file, or a package in it is not identified by a SHA-256.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if _EXPLICIT not in lines:
        raise _unusable(name, f"expected the line {_EXPLICIT}")
    files = []
    for line in lines:
        if found := _PIP.match(line):
            files.append(_pinned(found["address"], PIP, platform, name))
        elif line != _EXPLICIT and not line.startswith("#"):
            files.append(_pinned(line, CONDA, platform, name))
    return _lock([platform], files)


def parse_pixi_lock(data: Json, *, name: str) -> CondaLock:
    """Read the content of a lock that pixi made: its environment ``default``.

    Raises:
        EnvironmentSpecError: It has another version, no such environment, or a package in it is
            not identified by a SHA-256.
    """
    version = data.get("version") if isinstance(data, dict) else None
    if not isinstance(data, dict) or version != PIXI_FORMAT:
        raise _unusable(name, f"expected version {PIXI_FORMAT} of pixi's format, got {version!r}")
    try:
        known = {_pixi_key(entry): entry for entry in data["packages"]}
        wanted = data["environments"][_DEFAULT]["packages"]
        files = [
            _pixi_file(*key, known[key], platform, name)
            for platform, entries in wanted.items()
            for key in map(_pixi_key, entries)
        ]
    except (KeyError, TypeError, AttributeError) as exc:
        raise _unusable(name, f"it is damaged ({type(exc).__name__}: {exc})") from exc
    return _lock(wanted, files)


def _pinned(line: str, manager: str, platform: str, name: str) -> LockedFile:
    url, _, mark = line.partition("#")
    found = _SHA256.fullmatch(mark.strip())
    if found is None:
        got = "an MD5 only" if _MD5.fullmatch(mark.strip()) else "no SHA-256"
        raise EnvironmentSpecError(
            f"the lock {name} cannot be used: {strip_credentials(url)} has {got}",
            hint="`conda list --explicit --sha256` writes them; `repro lock` makes a lock that "
            "has them.",
        )
    return _file(url.strip(), manager, found["sha256"], platform, name)


def _pixi_key(entry: Mapping[str, Json]) -> tuple[str, str]:
    manager = CONDA if CONDA in entry else "pypi"
    return manager, str(entry[manager])


def _pixi_file(
    kind: str, url: str, entry: Mapping[str, Json], platform: str, name: str
) -> LockedFile:
    manager = CONDA if kind == CONDA else PIP
    sha256 = entry.get("sha256")
    if not sha256:
        raise _unusable(name, f"{strip_credentials(url)} has no SHA-256")
    return _file(url, manager, str(sha256), platform, name)


def _file(url: str, manager: str, sha256: str, platform: str, name: str) -> LockedFile:
    if urlsplit(url).scheme not in _WEB:
        raise _unusable(name, f"{strip_credentials(url)} comes from no channel or index")
    package, version = _identity(url, manager, name)
    try:
        digest = Digest.parse(f"sha256:{sha256}")
    except RecordError as exc:
        raise _unusable(name, f"{package} has the SHA-256 {sha256!r}") from exc
    return LockedFile(
        platform=platform, manager=manager, name=package, version=version, url=url, sha256=digest
    )


def _identity(url: str, manager: str, name: str) -> tuple[str, str]:
    """Return the name and version of a package, which its file's name holds."""
    file_name = urlsplit(url).path.rpartition("/")[2]
    if manager == CONDA:
        if match := PACKAGE_FILE.fullmatch(file_name):
            return match["name"], match["version"]
        raise _unusable(name, f"{file_name} is no conda package")
    try:
        package, version, *_ = parse_wheel_filename(file_name)
    except InvalidWheelFilename as exc:
        raise _unusable(name, f"{file_name} is no wheel, and nothing is compiled") from exc
    return package, str(version)


def _lock(platforms: Iterable[str], files: Iterable[LockedFile]) -> CondaLock:
    return CondaLock(
        spec=None,
        channels=(),
        platforms=tuple(sorted(platforms)),
        files=tuple(sorted(files)),
    )


def _unusable(name: str, why: str) -> EnvironmentSpecError:
    return EnvironmentSpecError(
        f"the lock {name} cannot be used: {why}",
        hint="Have its own tool make it anew, or make another with `repro lock`.",
    )
