"""What the ``dataset/fetch`` wrapper does: bring a file of a known digest, or parts of it."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from snakemake_repro.backends.caches import user_cache
from snakemake_repro.backends.files import hash_file
from snakemake_repro.backends.wholefiles import PUBLIC, replacing
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.downloads import download
from snakemake_repro.wrappers.members import extract
from snakemake_repro.wrappers.packages import find
from snakemake_repro.wrappers.problems import WrapperError

_KNOWN = ("url", "package", "version", "sha256", "member", "members", "licence", "source")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


def fetch(snakemake: Any, run: Any) -> None:
    """Do what a rule with the ``dataset/fetch`` wrapper asks for.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.

    Raises:
        WrapperError: The rule makes no sense, or what it asks for is not to be had.
    """
    params = requests.known_params("dataset/fetch", snakemake.params, _KNOWN)
    digest = _digest(params)
    where = _where(params)
    names = _members(params)
    places = _places(snakemake.output, names)
    with _fetched(where, digest, Path(places[0]).parent) as (file, size):
        if names is None:
            with file.open("rb") as source, replacing(Path(places[0]), PUBLIC) as target:
                shutil.copyfileobj(source, target, _CHUNK)
        else:
            extract(file, dict(zip(places, names, strict=True)))
    run.log_params(
        {
            name: strip_credentials(value) if isinstance(value, str) else value
            for name, value in params.items()
        }
    )
    run.log_metrics({"fetched_bytes": size})


# ----- what is asked for -------------------------------------------------------------------------


def _digest(params: Mapping[str, Any]) -> str:
    digest = requests.text(params, "sha256", "SHA-256 in hexadecimal digits").lower()
    if not _SHA256.fullmatch(digest):
        raise WrapperError(
            f"params: expected 64 hexadecimal digits as sha256=, got {params['sha256']!r}",
            hint="sha256sum FILE prints them",
        )
    return digest


def _where(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a URL, or a package and its version."""
    if (params.get("url") is None) == (params.get("package") is None):
        got = "both" if params.get("url") is not None else "neither"
        raise WrapperError(f"params: expected either url= or package=, got {got}")
    if params.get("url") is None:
        return requests.text(params, "package", "name"), requests.text(params, "version", "version")
    if params.get("version") is not None:
        raise WrapperError("params: expected version= only beside package=, got it beside url=")
    return (requests.text(params, "url", "URL"),)


def _members(params: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the paths within the archive; ``None`` where the file itself is wanted."""
    if params.get("member") is not None and params.get("members") is not None:
        raise WrapperError("params: expected either member= or members=, got both")
    if params.get("member") is not None:
        return (requests.text(params, "member", "path within the archive"),)
    if params.get("members") is not None:
        return requests.names(params, "members", "paths within the archive")
    return None


def _places(output: Any, names: tuple[str, ...] | None) -> list[str]:
    value = output.get("data")
    places = [value] if isinstance(value, str) else [str(path) for path in value or ()]
    count = 1 if names is None else len(names)
    if len(places) != count:
        what = "one file" if count == 1 else f"{count} files, one for each of members="
        raise WrapperError(f"output: expected {what} as data=, got {len(places)}")
    return places


# ----- where it comes from -----------------------------------------------------------------------


@contextlib.contextmanager
def _fetched(where: tuple[str, ...], digest: str, beside: Path) -> Iterator[tuple[Path, int]]:
    """Give the file and its size: that of the cache, or one that is gone afterwards."""
    cached = _cached(where, digest)
    if cached is not None:
        yield cached, cached.stat().st_size
        return
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=beside) as scratch:
        place = Path(scratch, "file")
        with place.open("wb") as target:
            _bring(where, digest, target)
        yield place, place.stat().st_size


def _cached(where: tuple[str, ...], digest: str) -> Path | None:
    """Return the file in the user's cache, brought there if need be.

    ``None`` where there is no cache: a job need not have one, and can do without.
    """
    try:
        place = user_cache() / "datasets" / digest
        # what lies about for long may have been changed
        if place.is_file() and hash_file(place)[0].value == digest:
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as target:
            _bring(where, digest, target)
    except (RuntimeError, OSError, StorageError):
        return None
    return place


def _bring(where: tuple[str, ...], digest: str, target: IO[bytes]) -> None:
    url = where[0] if len(where) == 1 else find(*where, digest=digest)
    got = download(url, target)
    if got != digest:
        raise WrapperError(
            f"{strip_credentials(url)}: expected SHA-256 {digest}, got {got}",
            hint="the file is not the one that the rule means; do not trust it",
        )
