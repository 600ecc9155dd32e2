"""Solving conda environments: what a set of match specs comes to on a platform."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.logic.conda_lock import CONDA, LockedFile
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import Digest

_LINES = 12


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is to be solved.

    Attributes:
        name: Of the environment file, for messages.
        channels: In the order of their priority.
        packages: Match specs.
        platform: As conda names it.
        locked: Files that are preferred as long as they fit.
    """

    name: str
    channels: tuple[str, ...]
    packages: tuple[str, ...]
    platform: str
    locked: tuple[LockedFile, ...] = ()


def solve(requests: Sequence[Request]) -> list[tuple[LockedFile, ...]]:
    """Return the files that satisfy each request.

    Raises:
        EnvironmentSpecError: A match spec cannot be read.
        EnvironmentBuildError: There is no solution, or a channel cannot be reached.
    """
    if not requests:
        return []
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snakemake_repro.backends.conda_solve"],
        input=json.dumps([_plain(request) for request in requests]),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    try:
        answers = json.loads(done.stdout)
    except ValueError as exc:
        lines = [strip_credentials(line) for line in done.stderr.splitlines()[-_LINES:]]
        raise EnvironmentBuildError(
            "\n  ".join([f"the solver ended with status {done.returncode}:", *lines])
        ) from exc
    return [_files(*pair) for pair in zip(requests, answers, strict=True)]


def _plain(request: Request) -> dict[str, Any]:
    return {
        "channels": list(request.channels),
        "packages": list(request.packages),
        "platform": request.platform,
        "locked": [
            {
                "name": file.name,
                "version": file.version,
                "build": file.build,
                "subdir": file.url.split("/")[-2],
                "url": file.url,
                "sha256": file.sha256.value,
                "depends": [" ".join(pair).strip() for pair in file.depends],
            }
            for file in request.locked
            if file.manager == CONDA and file.build is not None
        ],
    }


def _files(request: Request, answer: dict[str, Any]) -> tuple[LockedFile, ...]:
    if "failed" in answer:
        raise _error(request, answer["failed"], strip_credentials(answer["message"]).strip())
    return tuple(sorted(_file(request, package) for package in answer["packages"]))


def _file(request: Request, package: dict[str, Any]) -> LockedFile:
    if package["sha256"] is None:
        raise EnvironmentBuildError(
            f"{request.name} cannot be locked: {strip_credentials(package['url'])} has no SHA-256 "
            "in its channel",
            hint="The channel's index was made by an old tool; have it made anew.",
        )
    return LockedFile(
        platform=request.platform,
        manager=CONDA,
        name=package["name"],
        version=package["version"],
        url=package["url"],
        sha256=Digest(package["sha256"]),
        md5=package["md5"],
        depends=tuple(sorted(_pair(depends) for depends in package["depends"])),
    )


def _pair(depends: str) -> tuple[str, str]:
    name, _, version = depends.partition(" ")
    return name, version


def _error(request: Request, kind: str, message: str) -> Exception:
    said = "\n  ".join(message.splitlines()[:_LINES])
    what = f"{request.name} cannot be locked for {request.platform}"
    if kind == "spec":
        return EnvironmentSpecError(f"{what}: {said}", hint="Write it as conda would read it.")
    if kind == "network":
        return EnvironmentBuildError(
            f"{what}: a channel cannot be reached\n  {said}",
            hint="Is the channel's address right, and the network up? Proxies and credentials are "
            "those of rattler and conda (HTTPS_PROXY, ~/.netrc, RATTLER_AUTH_FILE).",
        )
    return EnvironmentBuildError(
        f"{what}:\n  {said}", hint="Do the channels have these versions for this platform?"
    )
