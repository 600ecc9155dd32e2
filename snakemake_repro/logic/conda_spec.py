"""Environment files that ask for conda packages: channels, match specs, and a list for pip.

The file is conda's own format. What of it cannot be locked is refused, never left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.pypi_spec import pip_requirements, refuse_variables, split_dependencies
from snakemake_repro.records import Digest, Json

SPEC_TAG = "CondaSpec/1"
NO_DEFAULTS = "nodefaults"
PLATFORMS = ("linux-64", "linux-aarch64", "linux-ppc64le", "osx-64", "osx-arm64", "win-64")

_EXAMPLE = "`channels: [conda-forge]` and `dependencies: [python =3.12, samtools]` is a small one."


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CondaSpec:
    """What an environment file asks for.

    Attributes:
        channels: In the order of their priority.
        packages: Match specs as written, sorted.
        requirements: What pip is to install, sorted.
        platforms: For which it is to be locked; empty leaves that to whoever locks.
    """

    channels: tuple[str, ...]
    packages: tuple[str, ...]
    requirements: tuple[str, ...]
    platforms: tuple[str, ...] = ()

    @property
    def digest(self) -> Digest:
        """Identity of the request; comments and order, but for the channels', do not count."""
        content = [list(self.channels), list(self.packages), list(self.requirements)]
        return digest_of(SPEC_TAG, [*content, list(self.platforms)])


def parse_conda_spec(data: Mapping[str, Json], *, name: str) -> CondaSpec:
    """Read an environment file's content.

    Args:
        data: The parsed YAML.
        name: How to call the file in messages.

    Raises:
        EnvironmentSpecError: It asks for something that cannot be locked.
    """
    refuse_variables(data, name=name)
    dependencies, lists = split_dependencies(data, name=name)
    return CondaSpec(
        channels=tuple(_channels(data, name)),
        packages=tuple(sorted(_packages(dependencies, name))),
        requirements=tuple(sorted(pip_requirements(lists, name=name))),
        platforms=tuple(sorted(set(_platforms(_texts(data, "platforms", name), name)))),
    )


def check_platforms(platforms: Sequence[str], *, name: str) -> tuple[str, ...]:
    """Return platforms that somebody named, each once.

    Raises:
        EnvironmentSpecError: There is no such platform.
    """
    return tuple(sorted(set(_platforms(platforms, name))))


def _channels(data: Mapping[str, Json], name: str) -> Iterator[str]:
    found = [channel for channel in _texts(data, "channels", name) if channel != NO_DEFAULTS]
    if not found:
        raise EnvironmentSpecError(
            f"{name} asks for conda packages but names no channel", hint=_EXAMPLE
        )
    for channel in found:
        parts = urlsplit(channel)
        if parts.username or parts.password or "/t/" in parts.path:
            raise EnvironmentSpecError(
                f"{name} has credentials in the address of a channel ({parts.hostname}); "
                "they would be in the lock, too",
                hint="Keep them where conda and rattler look for them, e.g. in ~/.netrc.",
            )
        yield channel


def _packages(dependencies: Sequence[Json], name: str) -> Iterator[str]:
    for entry in dependencies:
        text = entry.partition("#")[0].strip() if isinstance(entry, str) else ""
        if not text:
            raise EnvironmentSpecError(
                f"{name} has the dependency {entry!r}: expected a package and versions",
                hint=_EXAMPLE,
            )
        yield " ".join(text.split())


def _platforms(found: Sequence[str], name: str) -> Iterator[str]:
    for platform in found:
        if platform not in PLATFORMS:
            raise EnvironmentSpecError(
                f"{name}: no platform {platform!r}: expected one of {', '.join(PLATFORMS)}",
                hint="Platforms are named as conda names them.",
            )
        yield platform


def _texts(data: Mapping[str, Json], key: str, name: str) -> list[str]:
    found = data.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise EnvironmentSpecError(f"{name}: expected a list of names in `{key}:`", hint=_EXAMPLE)
    return found
