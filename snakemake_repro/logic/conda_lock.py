"""Locks of conda environments: conda-lock's own format, version 1.

One file names the exact packages for several platforms, each with its address and SHA-256
(https://conda.github.io/conda-lock/). What we need beyond that stands in its ``custom_metadata``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from snakemake_repro.errors import EnvironmentSpecError, RecordError
from snakemake_repro.logic.canonical import canonical_json
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import Digest, Json

FORMAT = 1
CONDA, PIP = "conda", "pip"

_SPEC_KEY = "repro-spec"
_CATEGORY = "main"
PACKAGE_FILE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+)(?:\.conda|\.tar\.bz2)")
_TOKEN = re.compile(r"/t/[^/]+")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, order=True)
class LockedFile:
    """One package of a lock, for one platform.

    Attributes:
        platform: As conda names it, e.g. ``linux-64``.
        manager: ``conda`` or ``pip``: who installs it.
        url: Where it was found; may hold names of environment variables (``${TOKEN}``).
        sha256: Of the file.
        md5: Likewise, where the lock has it; conda packages only.
        depends: What it needs: package and versions.
    """

    platform: str
    manager: str
    name: str
    version: str
    url: str
    sha256: Digest
    md5: str | None = None
    depends: tuple[tuple[str, str], ...] = ()

    @property
    def file_name(self) -> str:
        """The last part of its address."""
        return urlsplit(self.url).path.rpartition("/")[2]

    @property
    def build(self) -> str | None:
        """The build string of a conda package."""
        match = PACKAGE_FILE.fullmatch(self.file_name)
        return match["build"] if match and self.manager == CONDA else None

    @property
    def channel(self) -> str | None:
        """Channel and subdirectory of a conda package, without credentials."""
        if self.manager != CONDA:
            return None
        return _TOKEN.sub("", strip_credentials(self.url.rpartition("/")[0]))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CondaLock:
    """A lock file.

    Attributes:
        spec: Digest of the spec it was made from; ``None`` where another tool made it.
        channels: Addresses or names.
        platforms: For which it is good.
        files: Sorted.
        sources: Names of the environment files.
    """

    spec: Digest | None
    channels: tuple[str, ...]
    platforms: tuple[str, ...]
    files: tuple[LockedFile, ...]
    sources: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Json]:
        """Return the document, which conda-lock reads as well."""
        spec = str(self.spec)
        return {
            "version": FORMAT,
            "metadata": {
                # conda-lock compares it with what it makes of the environment file itself
                "content_hash": dict.fromkeys(self.platforms, spec.partition(":")[2]),
                "channels": [{"url": url, "used_env_vars": []} for url in self.channels],
                "platforms": list(self.platforms),
                "sources": list(self.sources),
                "custom_metadata": {_SPEC_KEY: spec},
            },
            "package": [_entry(file) for file in self.files],
        }

    def for_platforms(self, wanted: Iterable[str]) -> tuple[LockedFile, ...]:
        """Return the files of some platforms."""
        chosen = frozenset(wanted)
        return tuple(file for file in self.files if file.platform in chosen)


def parse_conda_lock(data: Json, *, name: str) -> CondaLock:
    """Read the content of a lock file, whoever made it.

    Packages of other categories than the main one (``dev``) are left out, as nothing installs
    them.

    Raises:
        EnvironmentSpecError: It is no lock of version 1, or a package in it is not identified by
            a SHA-256.
    """
    if not isinstance(data, dict) or data.get("version") != FORMAT:
        found = data.get("version") if isinstance(data, dict) else None
        raise _unusable(name, f"expected version {FORMAT} of conda-lock's format, got {found!r}")
    try:
        metadata = data["metadata"]
        spec = (metadata.get("custom_metadata") or {}).get(_SPEC_KEY)
        return CondaLock(
            spec=None if spec is None else Digest.parse(spec),
            channels=tuple(str(channel["url"]) for channel in metadata["channels"]),
            platforms=tuple(sorted(map(str, metadata["platforms"]))),
            files=tuple(sorted(_files(data["package"], name))),
            sources=tuple(map(str, metadata.get("sources") or ())),
        )
    except (KeyError, TypeError, AttributeError, RecordError) as exc:
        raise _unusable(name, f"it is damaged ({type(exc).__name__}: {exc})") from exc


def to_text(files: Sequence[LockedFile], *, link_scripts: bool) -> str:
    """Return what of a lock a node needs, as the one text for that content."""
    rows = [
        [file.platform, file.manager, file.name, file.version, file.url, str(file.sha256), file.md5]
        for file in sorted(files)
    ]
    return canonical_json({"files": rows, "link_scripts": link_scripts}).decode()


def from_text(text: str, *, name: str) -> tuple[tuple[LockedFile, ...], bool]:
    """Return the files of ``to_text``, and whether link scripts run.

    Raises:
        EnvironmentSpecError: It is something else.
    """
    try:
        data = json.loads(text)
        files = tuple(
            LockedFile(
                platform=platform,
                manager=manager,
                name=package,
                version=version,
                url=url,
                sha256=Digest.parse(sha256),
                md5=md5,
            )
            for platform, manager, package, version, url, sha256, md5 in data["files"]
        )
        return files, bool(data["link_scripts"])
    except (ValueError, KeyError, TypeError, RecordError) as exc:
        raise _unusable(name, f"it is damaged ({exc})") from exc


def moved_files(
    old: Iterable[LockedFile], new: Iterable[LockedFile]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Return what changed between two locks: name, old version, new version.

    A package that only has another build is shown with its build.
    """
    before, after = _versions(old), _versions(new)
    return tuple(
        (name, *_shown(before.get(name, {}), after.get(name, {})))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _versions(files: Iterable[LockedFile]) -> dict[str, dict[str, set[str]]]:
    """Return the builds of the versions of each package."""
    found: dict[str, dict[str, set[str]]] = {}
    for file in files:
        builds = found.setdefault(file.name, {}).setdefault(file.version, set())
        builds.add(f"{file.platform} {file.build or file.file_name}")
    return found


def _shown(
    old: Mapping[str, set[str]], new: Mapping[str, set[str]]
) -> tuple[str | None, str | None]:
    before, after = (", ".join(sorted(versions)) or None for versions in (old, new))
    if before == after:  # only builds or platforms differ
        first, second = ({b for builds in v.values() for b in builds} for v in (old, new))
        before = f"{before} ({', '.join(sorted(first - second)) or 'fewer'})"
        after = f"{after} ({', '.join(sorted(second - first)) or 'fewer'})"
    return before, after


def _entry(file: LockedFile) -> dict[str, Json]:
    hashes = {"sha256": file.sha256.value}
    if file.md5 is not None:
        hashes["md5"] = file.md5
    return {
        "name": file.name,
        "version": file.version,
        "manager": file.manager,
        "platform": file.platform,
        "dependencies": dict(file.depends),
        "url": file.url,
        "hash": hashes,
        "category": _CATEGORY,
        "optional": False,
    }


def _files(entries: Sequence[Mapping[str, Json]], name: str) -> Iterable[LockedFile]:
    for entry in entries:
        if entry.get("category", _CATEGORY) != _CATEGORY:
            continue
        what = f"{entry['name']} ({entry['platform']})"
        manager, url = entry["manager"], str(entry["url"])
        if manager not in (CONDA, PIP):
            raise _unusable(name, f"{what} has the manager {manager!r}")
        if manager == PIP and urlsplit(url).scheme not in ("http", "https", "file"):
            raise _unusable(name, f"{what} comes from {strip_credentials(url)}, not from an index")
        hashes = entry.get("hash") or {}
        sha256 = hashes.get("sha256")
        if not sha256:
            raise _unusable(name, f"{what} has no SHA-256")
        try:
            digest = Digest.parse(f"sha256:{sha256}")
        except RecordError as exc:
            raise _unusable(name, f"{what} has the SHA-256 {sha256!r}") from exc
        yield LockedFile(
            platform=str(entry["platform"]),
            manager=manager,
            name=str(entry["name"]),
            version=str(entry["version"]),
            url=url,
            sha256=digest,
            md5=hashes.get("md5"),
            depends=tuple(sorted((entry.get("dependencies") or {}).items())),
        )


def _unusable(name: str, why: str) -> EnvironmentSpecError:
    return EnvironmentSpecError(
        f"the lock {name} cannot be used: {why}", hint="`repro lock` makes it anew."
    )
