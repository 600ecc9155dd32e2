"""A ``conda`` for conda-lock: by rattler it answers ``create --dry-run --json``, and little else."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any


def make_shim(path: Path) -> Path:
    """Write an executable that behaves like conda as far as conda-lock asks."""
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).absolute()}" "$@"\n')
    path.chmod(0o755)
    return path


async def _solve(channels: list[str], packages: list[str], platform: str) -> list[Any]:
    import rattler

    # conda-lock hands over its virtual packages as a last channel; ours need none
    return await rattler.solve(channels[:-1], packages, platforms=[platform, "noarch"])


def _fetch(record: Any) -> dict[str, Any]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "channel": record.channel,
        "url": record.url,
        "fn": record.file_name,
        "md5": record.md5.hex(),
        "sha256": record.sha256.hex(),
        "depends": list(record.depends),
        "constrains": list(record.constrains),
        "subdir": record.subdir,
        "timestamp": 0,
    }


def main() -> None:
    """Answer one call."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="version", version="conda 25.0.0")
    parser.add_argument("action", choices=["create"])
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--dry-run", action="store_true", required=True)
    parser.add_argument("--json", action="store_true", required=True)
    parser.add_argument("--override-channels", action="store_true")
    parser.add_argument("--channel", action="append", required=True)
    parser.add_argument("packages", nargs="*")
    asked = parser.parse_intermixed_args()
    records = asyncio.run(_solve(asked.channel, asked.packages, os.environ["CONDA_SUBDIR"]))
    fetched = [_fetch(record) for record in records]
    sys.stdout.write(json.dumps({"actions": {"FETCH": fetched, "LINK": fetched}}))
    sys.stdout.flush()
    os._exit(0)  # a process that ends soon after a solve may die while it is finalised


if __name__ == "__main__":
    main()
