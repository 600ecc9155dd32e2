"""Research Object Crates judged by the validator of their own community, without a network."""

from __future__ import annotations

import functools
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROFILE = "provenance-run-crate-0.5"
UNANSWERABLE = "process-run-crate-0.5_5.1"
"""Asks that a program's identifier be an address on the web, which that of a Snakefile in the crate,
as the same profile demands it, cannot be (crs4/rocrate-validator#51)."""

_CONTEXT = Path(__file__).parent / "data" / "contexts" / "ro-crate-1.1.jsonld"
_TERMS = (
    "ContainerImage", "DockerImage", "ParameterConnection", "SIFImage", "connection", "containerImage",
    "environment", "md5", "registry", "resourceUsage", "sha1", "sha256", "sha512", "sourceParameter",
    "tag", "targetParameter",
)  # fmt: skip
_RUN_TERMS = "https://w3id.org/ro/terms/workflow-run"


@functools.cache
def documents() -> dict[str, bytes]:
    run = {"@context": {term: f"{_RUN_TERMS}#{term}" for term in _TERMS}}
    return {
        "https://w3id.org/ro/crate/1.1/context": _CONTEXT.read_bytes(),
        f"{_RUN_TERMS}/context": json.dumps(run).encode(),
    }


def complaints(crate: Path, workdir: Path) -> list[str]:
    """Return what the validator has to say about a crate, recommendations included.

    Args:
        crate: A directory, or an archive, which is judged by what is in it.
        workdir: An empty directory for the validator's notes.
    """
    pytest.importorskip("rocrate_validator")
    if crate.is_file():
        shutil.unpack_archive(crate, workdir / "crate")
        crate = workdir / "crate"
    cache, report = workdir / "cache", workdir / "report.json"
    _fill(cache, documents())
    done = subprocess.run(
        [
            sys.executable, "-c", "from rocrate_validator.cli import cli; cli()", "--no-interactive",
            "validate", "--offline", "--cache-path", str(cache), "--profile-identifier", PROFILE,
            "--requirement-severity", "recommended", "--skip-checks", UNANSWERABLE,
            "--output-format", "json", "--output-file", str(report), str(crate),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=workdir,
    )  # fmt: skip
    assert report.is_file(), done.stdout + done.stderr
    data = json.loads(report.read_text())
    found = [f"{one['check']['identifier']} {one['message']}" for one in data["issues"]]
    assert data["passed"] is (not found), data
    return found


def _fill(cache: Path, contents: dict[str, bytes]) -> None:
    """Put documents into a cache as if they had been fetched."""
    from requests import PreparedRequest, Response
    from requests.adapters import HTTPAdapter
    from requests_cache import CachedSession
    from urllib3 import HTTPResponse

    class Shelf(HTTPAdapter):
        def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
            body = io.BytesIO(contents[str(request.url)])
            kind = {"Content-Type": "application/ld+json"}
            raw = HTTPResponse(body=body, headers=kind, status=200, preload_content=False)
            return self.build_response(request, raw)

    with CachedSession(str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", Shelf())
        for address in contents:
            session.get(address)
