"""What a Ray that is started here reads from the environment, and where it keeps its files."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from snakemake_repro.backends import processtree

_LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's own switch for "one machine only": every server listens on loopback."""

_API_SERVER = "start_api_server"


def set_process_defaults(*, loopback: bool) -> None:
    """Set what Ray reads from the environment when it is imported."""
    if loopback:
        os.environ[_LOOPBACK_SWITCH] = "0"
    defaults: Mapping[str, str] = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_DEDUP_LOGS": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def start_here(directory: Path | str, cpus: int | None, store: int, **options: object) -> None:
    """Start a Ray of this process, without the processes that nobody needs.

    Args:
        directory: Where it keeps its files.
        cpus: How many processors its tasks may ask for; None for those of this machine.
        store: The size of its object store in bytes.
        options: More of ``ray.init``.
    """
    import ray

    with _spare_processes_left_out():
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=store,
            _temp_dir=str(directory),
            **options,
        )


@contextlib.contextmanager
def _spare_processes_left_out() -> Iterator[None]:
    """Let ``ray.init`` start no autoscaler, no dashboard, and nothing that carries logs.

    Without a dashboard, usage statistics and logs to the driver they do nothing on one machine, but
    each imports Ray at the start, when everything waits for the cores, and ``ray.init`` waits for
    the dashboard's server. It has no option for that; a version of Ray that is built in another way
    starts everything.
    """
    from ray._private import parameter, services

    params, server = parameter.RayParams, getattr(services, _API_SERVER, None)
    spares = {"no_monitor": True, "include_log_monitor": False}
    if spares.keys() <= inspect.signature(params).parameters.keys():
        parameter.RayParams = functools.partial(params, **spares)
    if server is not None:
        setattr(services, _API_SERVER, _no_server)
    try:
        yield
    finally:
        parameter.RayParams = params
        if server is not None:
            setattr(services, _API_SERVER, server)


def _no_server(*_: object, **__: object) -> tuple[str, None]:
    """Return what Ray has of a server that shows nothing: no address; and no process."""
    return "", None


def make_directory(prefix: str) -> Path:
    """Make a directory for a Ray of this process; remove those whose process was killed.

    Unix sockets below it are limited to 107 bytes, so TMPDIR may be too deep.

    Args:
        prefix: Of the directory's name, which tells what it is for.

    Raises:
        OSError: It cannot be made.
    """
    parent = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()  # noqa: S108
    for directory in Path(parent).glob(f"{prefix}-*-*"):
        pid = directory.name.removeprefix(f"{prefix}-").partition("-")[0]
        with contextlib.suppress(FileNotFoundError):  # somebody else was faster
            ours = directory.stat().st_uid == os.getuid()
            if ours and pid.isdigit() and not processtree.alive(int(pid)):
                shutil.rmtree(directory, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-{os.getpid()}-", dir=parent))
