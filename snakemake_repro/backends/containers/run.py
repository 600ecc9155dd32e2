"""Run one container to its end, such that it never outlives this process."""

from __future__ import annotations

import contextlib
import os
import select
from typing import Any

from snakemake_repro.backends.containers import owners
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.errors import EnvironmentBuildError, ExecutionError
from snakemake_repro.logic.containers import ContainerJob

_POLL_S = 0.2
"""A cancelled Ray task learns of it between two bytecodes, so no wait may block for long."""
_CHUNK = 1 << 16
_FRAME_HEADER = 8
_NANO = 1_000_000_000
_SHARED_MEMORY = 2 * 1024**3
"""Size of ``/dev/shm`` at most; Docker's own 64 MiB break programs that share arrays."""


class EngineLostError(ExecutionError):
    """The engine went away under a job; nothing is known of its result."""


def run(engine: Engine, job: ContainerJob) -> tuple[int, str]:
    """Run a job; return its exit status and what the engine itself said in its container.

    The container removes itself at its end. Its standard input is a connection that this process
    holds: what runs inside ends itself when that closes. A ``KeyboardInterrupt`` removes it first.

    Raises:
        EnvironmentBuildError: The engine refuses the container.
        EngineLostError: The engine went away.
    """
    api = engine.client.api
    container = create(engine, job)
    with contextlib.ExitStack() as held:
        try:
            with engine.errors(f"a container of {job.image} cannot be started"):
                connection = attach(engine, container, held)
                # asked before the start: afterwards it may be gone already
                ended = api._post(  # noqa: SLF001 - `wait` would block until there is an answer
                    api._url("/containers/{0}/wait", container),  # noqa: SLF001
                    # "removed" takes longer, and Podman then has no status any more
                    params={"condition": "next-exit"},
                    stream=True,
                )
                held.callback(ended.close)
                api.start(container)
            said = _text(drain(connection.fileno()))
            return _status(ended), said
        except BaseException:
            remove(engine, container)
            raise


def create(engine: Engine, job: ContainerJob) -> str:
    """Make a container that carries this process's label; return the engine's name for it.

    Raises:
        EnvironmentBuildError: The engine refuses it.
    """
    with engine.errors(f"a container of {job.image} cannot be made"):
        made = engine.client.api.create_container(
            job.image,
            list(job.command),
            entrypoint=[],
            stdin_open=True,
            working_dir=job.workdir,
            user=job.user,
            hostname=job.hostname,
            environment=dict(job.variables),
            labels=owners.label(),
            host_config=_host_config(engine, job),
        )
    return str(made["Id"])


def attach(engine: Engine, container: str, held: contextlib.ExitStack) -> Any:
    """Return a connection to a container's streams; what it keeps open ends with ``held``."""
    connection = engine.client.api.attach_socket(
        container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    )
    # the SDK keeps the answer that it was taken out of, and with it the socket
    held.callback(connection._response.close)  # noqa: SLF001
    return connection


def remove(engine: Engine, container: str) -> None:
    """Remove a container, whatever it does; one that is gone, or going, is no error."""
    import docker

    with contextlib.suppress(docker.errors.APIError, OSError):
        engine.client.api.remove_container(container, force=True, v=True)


def drain(fd: int) -> bytes:
    """Wait until a container closes its output; return what came out of it.

    A job writes into its log itself. Only what fails before that is said here.

    Raises:
        EngineLostError: The connection broke.
    """
    buffer = b""
    while True:
        ready, _, _ = select.select([fd], [], [], _POLL_S)
        if not ready:
            continue
        try:
            chunk = os.read(fd, _CHUNK)
        except OSError as exc:
            raise EngineLostError(f"the connection to the engine broke: {exc.strerror}") from exc
        if not chunk:
            return buffer
        buffer += chunk


def _host_config(engine: Engine, job: ContainerJob) -> Any:
    from docker.types import DeviceRequest, Mount

    options: dict[str, Any] = {}
    if job.memory:
        # swap would only make a job that needs more than it asked for slow
        options |= {"mem_limit": job.memory, "memswap_limit": job.memory}
    if job.gpus:
        if engine.kind != "docker":
            raise EnvironmentBuildError(
                f"{engine.facts.name} gives no GPU to a container: it ignores such a request",
                hint="Run such rules with Docker (--ray-container-engine docker).",
            )
        # never a count: it means the first devices, whatever others use
        request = DeviceRequest(device_ids=list(job.gpus), capabilities=[["gpu"]])
        options["device_requests"] = [request]
    security = ["no-new-privileges"]
    if engine.facts.labels:  # the job's files belong to the user and have none
        security.append("label=disable")
    if engine.facts.init:
        options["init"] = True
    return engine.client.api.create_host_config(
        auto_remove=True,
        mounts=[
            # never `binds`: those make directories of the node where a source is missing
            Mount(target=b.target, source=b.source, type="bind", read_only=b.read_only)
            for b in job.binds
        ],
        network_mode=job.network,
        read_only=job.read_only,
        cap_drop=["ALL"],
        security_opt=security,
        group_add=[] if engine.facts.rootless else list(job.groups),
        nano_cpus=int(min(job.cpus, engine.facts.cpus) * _NANO),
        pids_limit=job.pids,
        shm_size=min(job.memory, _SHARED_MEMORY) or _SHARED_MEMORY,
        **options,
    )


def _text(frames: bytes) -> str:
    """Take the text out of the engine's frames: kind, three zeros, length, content."""
    found = b""
    while len(frames) >= _FRAME_HEADER:
        end = _FRAME_HEADER + int.from_bytes(frames[4:_FRAME_HEADER], "big")
        found += frames[_FRAME_HEADER:end]
        frames = frames[end:]
    return found.decode("utf-8", "replace")


def _status(ended: Any) -> int:
    try:
        return int(ended.json()["StatusCode"])
    except (OSError, ValueError, KeyError) as exc:  # `requests` raises the first two
        raise EngineLostError("the engine went away while a container ran") from exc
