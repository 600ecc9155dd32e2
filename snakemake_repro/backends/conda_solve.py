"""The process that solves conda environments: requests as JSON on standard input, answers out.

A process of its own, because one that ends soon after a solve dies now and then while its
interpreter is finalised: py-rattler's threads outlive it. This one ends without that.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

_GLIBC = "2.28"
_VIRTUAL: Mapping[str, Mapping[str, str]] = {
    "linux": {"__unix": "0", "__linux": "5.10", "__glibc": _GLIBC},
    "osx": {"__unix": "0", "__osx": "12.0"},
    "win": {"__win": "0"},
}
"""What an environment may count on: a lock must not depend on the machine that made it."""


async def _solve(request: Mapping[str, Any], gateway: Any) -> dict[str, Any]:
    import rattler
    from rattler import exceptions

    virtual = [
        rattler.GenericVirtualPackage(
            rattler.PackageName(name), rattler.Version(version), rattler.BuildString("0")
        )
        for name, version in _VIRTUAL[request["platform"].partition("-")[0]].items()
    ]
    try:
        records = await rattler.solve(
            request["channels"],
            request["packages"],
            gateway=gateway,
            platforms=[request["platform"], "noarch"],
            virtual_packages=virtual,
            locked_packages=[_locked(entry) for entry in request["locked"]],
        )
    except exceptions.InvalidMatchSpecError as exc:
        return {"failed": "spec", "message": str(exc)}
    except exceptions.SolverError as exc:
        return {"failed": "solution", "message": str(exc)}
    except (exceptions.GatewayError, exceptions.FetchRepoDataError, OSError) as exc:
        return {"failed": "network", "message": str(exc)}
    return {"packages": [_package(record) for record in records]}


def _locked(entry: Mapping[str, Any]) -> Any:
    import rattler

    record = rattler.PackageRecord(
        entry["name"],
        entry["version"],
        rattler.BuildString.new_unchecked(entry["build"]),
        0,
        entry["subdir"],
        depends=entry["depends"],
        sha256=bytes.fromhex(entry["sha256"]),
    )
    channel, file_name = entry["url"].rsplit("/", 2)[0], entry["url"].rpartition("/")[2]
    return rattler.RepoDataRecord(record, file_name, entry["url"], channel)


def _package(record: Any) -> dict[str, Any]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "url": record.url,
        "sha256": None if record.sha256 is None else record.sha256.hex(),
        "md5": None if record.md5 is None else record.md5.hex(),
        "depends": list(record.depends),
    }


async def _answer(requests: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    import rattler

    # one gateway: what it fetched of a channel serves all requests
    gateway = rattler.Gateway(client=rattler.Client.authenticated_client())
    return list(await asyncio.gather(*(_solve(request, gateway) for request in requests)))


if __name__ == "__main__":
    answers = asyncio.run(_answer(json.load(sys.stdin)))
    sys.stdout.write(json.dumps(answers))
    sys.stdout.flush()
    os._exit(0)
