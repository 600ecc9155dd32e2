"""Package indexes: what the user told pip and uv, put together for uv.

uv does not read pip's configuration; a user whose pip works behind a mirror expects that this
works, too. pip's index settings count where uv has none of its own.
"""

from __future__ import annotations

import configparser
import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from snakemake_repro.backends.uv import run_uv
from snakemake_repro.errors import EnvironmentBuildError

_UV_INDEXES = (
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX",
    "UV_INDEX_URL",
)
_PIP_INDEXES = ("index-url", "extra-index-url", "find-links", "no-index")
_NETWORK = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "trusted-host": "UV_INSECURE_HOST",
}
_TRUE = ("1", "true", "yes", "on", "y", "t")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Indexes:
    """Where uv finds packages, in addition to what it finds out by itself.

    Attributes:
        arguments: Of any command that looks for packages.
        variables: Environment variables; URLs with credentials are in no argument.
    """

    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)


def indexes(*, portable: bool) -> Indexes:
    """Return where packages come from.

    Args:
        portable: Leave out directories of this machine beside a reachable index: what only they
            have, others cannot get.

    Raises:
        EnvironmentBuildError: uv's or pip's configuration cannot be read.
    """
    environ = os.environ
    pip = pip_settings(environ, Path(sys.prefix))
    network = {
        variable: " ".join(pip[option].split("\n"))
        for option, variable in _NETWORK.items()
        if option in pip and variable not in environ and variable.lower() not in environ
    }
    if not any(pip.get(option) for option in _PIP_INDEXES) or any(
        environ.get(name) for name in _UV_INDEXES
    ):
        return Indexes(variables=network)
    builtin = _uv_indexes("--no-config")
    if _uv_indexes() != builtin:  # its configuration files name some
        return Indexes(variables=network)
    found = _translated(pip, default=builtin, portable=portable)
    return dataclasses.replace(found, variables={**network, **found.variables})


def pip_settings(environ: Mapping[str, str], prefix: Path) -> dict[str, str]:
    """Return what ``pip install`` reads from its configuration files and variables.

    pip's own rules (``pip help config``), without pip: an environment that uv made has none.
    Of later files and sections the setting wins as a whole, the environment wins over all.

    Args:
        environ: Environment variables.
        prefix: Of the virtual environment that runs us.

    Raises:
        EnvironmentBuildError: A file cannot be read.
    """
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for path in _pip_files(environ, prefix):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, UnicodeDecodeError, configparser.Error) as exc:
            problem = " ".join(str(exc).split())
            raise EnvironmentBuildError(
                f"pip's configuration file {path} cannot be read: {problem}",
                hint="`pip config debug` shows which files pip reads.",
            ) from exc
        for section, settings in sections.items():
            if parser.has_section(section):
                settings.update((_option(name), value) for name, value in parser.items(section))
    variables = {
        _option(name.removeprefix("PIP_")): value
        for name, value in environ.items()
        if name.startswith("PIP_")
    }
    found = {**sections["global"], **sections["install"], **variables}
    return {option: value.strip() for option, value in found.items() if value.strip()}


def _pip_files(environ: Mapping[str, str], prefix: Path) -> Iterator[Path]:
    """Yield the files that pip reads on Linux; a later one overrides an earlier one."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    home = Path(environ.get("HOME") or "~").expanduser()
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
        yield Path(folder, "pip", "pip.conf")
    yield Path("/etc/pip.conf")
    if not (named and Path(named).exists()):
        yield home / ".pip" / "pip.conf"
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield prefix / "pip.conf"
    if named:
        yield Path(named)


def _option(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _uv_indexes(*arguments: str) -> tuple[str, ...]:
    """Return the index options that uv would use, as it writes them into a requirements file."""
    out = run_uv(
        [
            *("pip", "compile", "-", "--quiet", "--no-header", "--python", sys.executable),
            *("--emit-index-url", "--emit-find-links", *arguments),
        ],
        what="uv's configuration cannot be read",
    )
    return tuple(line.strip() for line in out.splitlines() if line.strip())


def _translated(pip: Mapping[str, str], *, default: tuple[str, ...], portable: bool) -> Indexes:
    extra = [place for place in pip.get("extra-index-url", "").split() if _exists(place)]
    links = [place for place in pip.get("find-links", "").split() if _exists(place)]
    nowhere = pip.get("no-index", "").lower() in _TRUE
    main = pip.get("index-url") or _main(default)
    if portable and not nowhere and not _is_local(main):
        extra = [place for place in extra if not _is_local(place)]
        links = [place for place in links if not _is_local(place)]
    variables = {}
    if "index-url" in pip:
        variables["UV_DEFAULT_INDEX"] = main
    if extra:
        # pip looks at all indexes at once and takes the best version. Of one version uv takes the
        # files of the first index that has it, which must be the main one: others often mirror
        # the files of one platform only, and a lock made from them would serve no other.
        variables["UV_INDEX"] = " ".join([main, *extra])
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if links:
        variables["UV_FIND_LINKS"] = ",".join(links)
    return Indexes(arguments=("--no-index",) if nowhere else (), variables=variables)


def _main(options: Iterable[str]) -> str:
    prefix = "--index-url "
    return next(line.removeprefix(prefix) for line in options if line.startswith(prefix))


def _is_local(place: str) -> bool:
    return urlsplit(place).scheme in ("", "file")


def _exists(place: str) -> bool:
    """Tell whether a place may serve packages; pip passes over directories that are not there."""
    return not _is_local(place) or Path(urlsplit(place).path).exists()
