"""A real Ray cluster for tests: one process that holds it, on loopback, shared by a session."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machines import Machine

_HOLD = """
import functools, json, os, sys, tempfile
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback only
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Ray starts two workers for one task, and each imports it: most runs of tests need one
os.environ["RAY_worker_maximum_startup_concurrency"] = "1"
import ray
from ray._private import parameter
# what carries logs looks at those of all workers that there ever were, and nobody listens
parameter.RayParams = functools.partial(parameter.RayParams, include_log_monitor=False)
directory = tempfile.mkdtemp(prefix="repro-ray-{}-".format(os.getpid()), dir="/tmp")
context = ray.init(
    address="local", **json.loads(sys.argv[1]), include_dashboard=False, log_to_driver=False,
    configure_logging=False, object_store_memory=128 * 1024 * 1024, _temp_dir=directory,
)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""


_NODE = """
import json, os, sys
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback only
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
from ray._private.node import Node  # as ray.cluster_utils does
from ray._private.parameter import RayParams
node = Node(
    RayParams(
        gcs_address=sys.argv[1], **json.loads(sys.argv[2]), object_store_memory=128 * 1024 * 1024,
        min_worker_port=0, max_worker_port=0, node_manager_port=0, include_log_monitor=False,
        dashboard_agent_listen_port=None,
    ),
    head=False, shutdown_at_exit=True, spawn_reaper=True,
)
print("up", flush=True)
sys.stdin.read()
node.kill_all_processes(check_alive=False, allow_graceful=True)
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunningCluster:
    """A cluster to join.

    Attributes:
        environ: What a client needs in its environment: the token.
    """

    address: str
    environ: dict[str, str]


_NETWORKED = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
"""Ray's switch for more than loopback."""


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
    cpus: int = 2,
    log: Path | None = None,
    python: Path | None = None,
    machine: Machine | None = None,
    **declared: object,
) -> Iterator[RunningCluster]:
    """Give a cluster that ends with the context.

    Args:
        cpus: Logical ones.
        log: For what Ray says.
        python: Another interpreter than this one.
        machine: Where it runs, if not on loopback.
        declared: What else its node declares, as ``ray.init`` takes it: what Ray counts need not
            be there.
    """
    environ = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    # as where the environment of this interpreter is activated: jobs find its programs
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    through: tuple[str, ...] = ()
    if machine is not None:
        environ |= _NETWORKED
        declared["_node_ip_address"] = machine.address
        through = machine.through
    with (log or Path(os.devnull)).open("ab") as errors:
        process = subprocess.Popen(
            [
                *through,
                python or sys.executable,
                "-c",
                _HOLD,
                json.dumps({"num_cpus": cpus, **declared}),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PATH": programs, **environ},
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


@contextmanager
def ray_head(port: int, environ: dict[str, str], directory: Path) -> Iterator[int]:
    """Give the process of a head that people start, on a port of loopback; it may be killed.

    Args:
        port: Where it listens.
        environ: With the token.
        directory: For what it writes.
    """
    options = {
        "port": port,
        "node-ip-address": "127.0.0.1",
        "num-cpus": 2,
        "object-store-memory": 128 * 1024 * 1024,
        "include-dashboard": "false",
        "temp-dir": directory,
        "min-worker-port": 0,
        "max-worker-port": 0,
    }
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *(f"--{name}={value}" for name, value in options.items()),
            *("--disable-usage-stats", "--log-style=record"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"},
        start_new_session=True,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def can_hide() -> bool:
    """Tell whether a process of ours may have a file system that others do not see."""
    done = subprocess.run(
        ["unshare", "--mount", "true"], capture_output=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.returncode == 0


def hiding(*directories: Path) -> tuple[str, ...]:
    """Return a command that starts another one, to which directories are empty."""
    mounts = (f"mount -t tmpfs hidden {shlex.quote(str(path))} && " for path in directories)
    return (
        *("unshare", "--mount", "--propagation", "private"),
        *("sh", "-c", f'{"".join(mounts)}exec "$@"', "sh"),
    )


@contextmanager
def another_node(
    cluster: RunningCluster,
    *through: str,
    cpus: int = 2,
    log: Path | None = None,
    address: str = "127.0.0.1",
    **declared: object,
) -> Iterator[int]:
    """Let a node join; give the process that holds it.

    Args:
        cluster: To join.
        through: A command that starts the node's.
        cpus: Of the node.
        log: Where its complaints go.
        address: Of the node.
        declared: What else it declares, as Ray's parameters of a node.
    """
    parameters = {"num_cpus": cpus, "num_gpus": 0, "node_ip_address": address, **declared}
    with (log or Path(os.devnull)).open("ab") as errors:
        process = subprocess.Popen(
            [*through, sys.executable, "-c", _NODE, cluster.address, json.dumps(parameters)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **cluster.environ},
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"up\n", "the node did not start"
            yield process.pid
        finally:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


@contextmanager
def node_elsewhere(
    cluster: RunningCluster, hidden: Path, *, cpus: int = 2, log: Path | None = None
) -> Iterator[None]:
    """Let a node join that has an empty directory where others see a full one.

    Args:
        cluster: To join.
        hidden: What the node does not see.
        cpus: Of the node.
        log: Where its complaints go.
    """
    with another_node(cluster, *hiding(hidden), cpus=cpus, log=log):
        yield
