"""Files of a package index, found where pip would find them; nothing is built, nothing is run.

pip itself runs the build backend of a source archive even where it only downloads. So it is asked
for its settings alone: which index, and which folders of files.
"""

from __future__ import annotations

import ast
import hashlib
import html.parser
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, unquote, urldefrag, urljoin, urlsplit, urlunsplit

from snakemake_repro.wrappers.downloads import MissingError, download
from snakemake_repro.wrappers.problems import WrapperError, listed

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
_SETTING = re.compile(r"(?P<section>[^.=]+)\.(?P<name>[^=]+)=(?P<value>.*)")
_SECTIONS = ("global", "download", ":env:")
"""Of pip's settings, the later before the earlier."""
_DEFAULT = re.compile(r"--index-url <url>.*?\(default\s+(\S+?)\)", re.DOTALL)
_INDEX, _EXTRA, _LINKS, _NO_INDEX = "index-url", "extra-index-url", "find-links", "no-index"
_UV = {
    "UV_INDEX_URL": _INDEX,
    "UV_DEFAULT_INDEX": _INDEX,
    "UV_EXTRA_INDEX_URL": _EXTRA,
    "UV_INDEX": _EXTRA,
    "UV_FIND_LINKS": _LINKS,
}
"""Variables of uv that say the same, and count before pip's settings."""


def find(package: str, version: str, *, digest: str) -> str:
    """Return the URL of the file of a package that has a digest.

    Args:
        package: Name of the package.
        version: Its version, as the names of its files spell it.
        digest: SHA-256 in hexadecimal digits.

    Raises:
        WrapperError: No index and no folder has it, or pip is not there to name them.
    """
    # names of files write the name of the package in several ways
    spelled = "[-_.]+".join(map(re.escape, re.split(r"[-_.]+", package)))
    start = re.compile(rf"{spelled}-{re.escape(version)}(?:-|\.tar\.|\.zip$)", re.IGNORECASE)
    others: set[str] = set()
    unknown: list[str] = []
    for url, known in _files(_settings(), re.sub(r"[-_.]+", "-", package).lower()):
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        if not start.match(name):
            continue
        if known == digest:
            return url
        if known is None:
            unknown.append(url)
        others.add(name)
    if len(unknown) == 1:
        # whoever downloads it will see whether it is the one
        return unknown[0]
    raise WrapperError(
        f"expected a file of {package} {version} with SHA-256 {digest}, got files of that version "
        f"with other digests: {listed(sorted(others))}",
        hint="pip's settings and UV_DEFAULT_INDEX say where packages come from",
    )


def _settings() -> dict[str, list[str]]:
    """Return where packages come from, for this user."""
    found: dict[str, list[str]] = {}
    lines = [
        match for line in _pip("config", "list").splitlines() if (match := _SETTING.match(line))
    ]
    for section in _SECTIONS:
        for match in lines:
            if match["section"] == section:
                found[match["name"]] = str(ast.literal_eval(match["value"])).split()
    for variable, name in _UV.items():
        if os.environ.get(variable):
            found[name] = os.environ[variable].replace(",", " ").split()
    if _INDEX not in found and (default := _DEFAULT.search(_pip("download", "--help"))):
        found[_INDEX] = [default[1]]
    if found.get(_NO_INDEX, ["false"])[0].lower() not in ("false", "0", "no", "off"):
        found[_INDEX] = found[_EXTRA] = []
    return found


def _pip(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        # wide enough for any address to stand on one line
        env={**os.environ, "COLUMNS": "1000"},
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WrapperError(f"expected pip to say where packages come from, got: {last}")
    return done.stdout


def _files(settings: Mapping[str, list[str]], project: str) -> Iterator[tuple[str, str | None]]:
    """Yield the URL of every file, and its SHA-256 where it is said beforehand."""
    for place in settings.get(_LINKS, []):
        folder = Path(unquote(urlsplit(place).path) if place.startswith("file:") else place)
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.is_file():
                    yield path.absolute().as_uri(), _sum(path)
        else:
            yield from _links(place)
    for index in (*settings.get(_INDEX, []), *settings.get(_EXTRA, [])):
        # a named index of uv's
        address = index.partition("=")[2] if re.match(r"[\w-]+=", index) else index
        page = f"{address.rstrip('/')}/{project}/"
        try:
            yield from _links(f"{page}index.html" if page.startswith("file:") else page)
        except MissingError:
            continue


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _links(page: str) -> Iterator[tuple[str, str | None]]:
    """Yield the files that a page of an index names, in JSON (PEP 691) or HTML (PEP 503)."""
    content = io.BytesIO()
    download(page, content, accept=_ACCEPT)
    text = content.getvalue().decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        for file in json.loads(text)["files"]:
            yield _resolved(page, file["url"]), file["hashes"].get("sha256")
        return
    parser = _Links()
    parser.feed(text)
    for link in parser.found:
        address, fragment = urldefrag(link)
        yield _resolved(page, address), parse_qs(fragment).get("sha256", [None])[0]


def _resolved(page: str, link: str) -> str:
    """Return the address of a link, with the credentials of a page of the same host."""
    url = urljoin(page, link)
    parts, base = urlsplit(url), urlsplit(page)
    login, at, host = base.netloc.rpartition("@")
    if at and parts.netloc == host:
        return urlunsplit(parts._replace(netloc=f"{login}@{host}"))
    return url


class _Links(html.parser.HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the address of a link."""
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]
