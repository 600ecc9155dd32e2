"""Podman's service, with a store of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import wait_for

PODMAN_CONFIG = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@contextlib.contextmanager
def podman_service(registry: str) -> Iterator[str]:
    """Run Podman's service; yield its address. Skip the test where that cannot be.

    Args:
        registry: Host and port of one without TLS.
    """
    if os.getuid() or shutil.which("podman") is None or shutil.which("runc") is None:
        pytest.skip("needs podman, runc and root")
    with tempfile.TemporaryDirectory(prefix="repro-", dir="/tmp") as name:  # short, as it demands
        root = Path(name)
        address = f"unix://{root}/podman.sock"
        (root / "containers.conf").write_text(PODMAN_CONFIG)
        (root / "registries.conf").write_text(
            f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n'
        )
        environ = {name: value for name, value in os.environ.items() if name != "CONTAINER_HOST"}
        environ["CONTAINERS_CONF"] = str(root / "containers.conf")
        environ["CONTAINERS_REGISTRIES_CONF"] = str(root / "registries.conf")
        store = ["--root", str(root / "store"), "--runroot", str(root / "run")]
        command = ["podman", *store, "system", "service", "--time", "0", address]
        with (root / "log").open("wb") as log:
            service = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            wait_for(
                lambda: (root / "podman.sock").exists() or service.poll() is not None,
                what="Podman's service",
            )
            if service.poll() is not None:
                pytest.skip(f"podman does not start here: {(root / 'log').read_text()[-200:]}")
            yield address
        finally:
            service.kill()
            service.wait()
            for mounted in ("store/overlay", "run"):
                subprocess.run(["umount", root / mounted], check=False, capture_output=True)
