"""A real Ray cluster for tests: one process that holds it, on loopback, shared by a session."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HOLD = """
import json, os, sys, tempfile
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # loopback only
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
directory = tempfile.mkdtemp(prefix="repro-ray-{}-".format(os.getpid()), dir="/tmp")
context = ray.init(
    address="local", **json.loads(sys.argv[1]), include_dashboard=False, log_to_driver=False,
    configure_logging=False, object_store_memory=128 * 1024 * 1024, _temp_dir=directory,
)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunningCluster:
    """A cluster to join.

    Attributes:
        environ: What a client needs in its environment: the token.
    """

    address: str
    environ: dict[str, str]


def python_without_us(directory: Path, *, snakemake: str | None = None) -> Path:
    """Make an interpreter that has what this one has, except for our packages.

    Args:
        directory: To make.
        snakemake: The version that Snakemake says it has, if another one.
    """
    venv.create(directory, symlinks=True)
    [site] = directory.glob("lib/python*/site-packages")
    for folder in map(Path, sys.path):
        if folder.name not in ("site-packages", "dist-packages"):
            continue
        for entry in folder.iterdir():
            ours = re.match(r"_*(editable_*)?_*snakemake_(repro|.*_plugin_(ray|repro))", entry.name)
            if not ours and entry.suffix != ".pth" and not (site / entry.name).exists():
                (site / entry.name).symlink_to(entry)
    if snakemake is not None:
        [info] = site.glob("snakemake-[0-9]*.dist-info")
        metadata = (info / "METADATA").read_text()
        info.unlink()
        info.mkdir()
        changed = re.sub("(?m)^Version: .*", f"Version: {snakemake}", metadata, count=1)
        (info / "METADATA").write_text(changed)
    return directory / "bin" / "python"


@contextmanager
def ray_cluster(
    cpus: int = 2, log: Path | None = None, python: Path | None = None, **declared: object
) -> Iterator[RunningCluster]:
    """Give a cluster that ends with the context.

    Args:
        cpus: Logical ones.
        log: For what Ray says.
        python: Another interpreter than this one.
        declared: What else its node declares, as ``ray.init`` takes it: what Ray counts need not
            be there.
    """
    environ = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with (log or Path(os.devnull)).open("ab") as errors:
        process = subprocess.Popen(
            [python or sys.executable, "-c", _HOLD, json.dumps({"num_cpus": cpus, **declared})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **environ},
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = process.stdout.readline().decode().strip()
            assert address, f"the cluster did not start (exit {process.poll()})"
            yield RunningCluster(address=address, environ=environ)
        finally:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()
