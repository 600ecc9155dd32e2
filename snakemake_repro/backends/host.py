"""The machine this process runs on."""

from __future__ import annotations

import csv
import functools
import hashlib
import os
import platform
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from snakemake_repro.errors import ExecutionError
from snakemake_repro.records import Gpu, Host

_ID_LENGTH = 16
_MIB = 1 << 20
_MB = 1_000_000
_GPU_FIELDS = ("name", "memory.total", "driver_version", "uuid")
_GPU_TIMEOUT_S = 5.0
_UNLIMITED = 1 << 60
"""cgroup v1 says "no limit" with a number near 2^63."""


def idle_cores(seconds: float) -> float:
    """Watch for a while how many cores have nothing to do."""
    before = _idle_s()
    time.sleep(seconds)
    return (_idle_s() - before) / seconds


def _idle_s() -> float:
    """Return for how long all cores together had nothing to do, see proc(5)."""
    total = Path("/proc/stat").read_text().partition("\n")[0].split()
    return int(total[4]) / os.sysconf("SC_CLK_TCK")


@functools.cache
def describe_host() -> Host:
    """Describe this machine as this process may use it; asked once per process."""
    uname = platform.uname()
    gpus, cuda = _gpus()
    libraries = {"libc": _libc(), "cuda": cuda}
    return Host(
        id=host_id(),
        name=socket.gethostname(),
        os=_os(),
        kernel=f"{uname.system} {uname.release}",
        machine=uname.machine,
        cpu=_cpu(),
        cpus=_cpus(),
        memory_mb=_memory_mb(),
        gpus=gpus,
        libraries={key: value for key, value in libraries.items() if value},
    )


def host_id() -> str:
    """Return a short digest of this node's name and its boot.

    Containers share the boot of their machine and differ by name; without ``/proc`` the name has
    to do.
    """
    boot = _read("/proc/sys/kernel/random/boot_id") or ""
    text = f"Host/1\0{socket.gethostname()}\0{boot.strip()}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_ID_LENGTH]


def check_space(directory: Path, size: int) -> None:
    """Make sure that a directory's file system has room for a job.

    Args:
        directory: One that is there.
        size: Bytes that must be free; 0 for no matter how many.

    Raises:
        ExecutionError: It has less.
    """
    free = shutil.disk_usage(directory).free if size else 0
    if free < size:
        raise ExecutionError(
            f"it asks for {size // _MB} MB of disk, and {directory} has {free // _MB} MB free on "
            f"{socket.gethostname()}",
            hint="Make room there, or lower the rule's `disk_mb`.",
        )


def _os() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system()
    return release.get("PRETTY_NAME") or release["NAME"]


def _cpu() -> str | None:
    """Return the processor's model; not every architecture's kernel names one."""
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return platform.processor() or None


def _cpus() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory_mb() -> int | None:
    """Return the memory in MiB that this process can have: the machine's, or its cgroup's."""
    limits = list(_cgroup_limits())
    match = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo") or "", re.MULTILINE)
    if match:
        limits.append(int(match[1]) * 1024)
    return min(limits) // _MIB if limits else None


def _cgroup_limits() -> Iterator[int]:
    """Yield the memory limits in bytes of this process's cgroup and those above it."""
    for line in (_read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, file = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in controllers.split(","):
            root, file = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        place = root / path.lstrip("/")
        # inside a container the path may be the host's and not exist; the root then has the limit
        for directory in (place, *place.parents):
            if directory.is_relative_to(root):
                text = (_read(str(directory / file)) or "").strip()
                if text.isdigit() and int(text) < _UNLIMITED:
                    yield int(text)


def _gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """Return the NVIDIA GPUs and the CUDA version of their driver; nothing without the driver."""
    if shutil.which("nvidia-smi") is None:
        return (), None
    query = f"--query-gpu={','.join(_GPU_FIELDS)}"
    table = _run("nvidia-smi", query, "--format=csv,noheader,nounits")
    gpus = parse_gpus(table or "")
    if not gpus:
        return (), None
    match = re.search(r"CUDA (?:UMD )?Version\s*:?\s*(\d+(?:\.\d+)*)", _run("nvidia-smi") or "")
    return gpus, match[1] if match else None


def parse_gpus(table: str) -> tuple[Gpu, ...]:
    """Return the GPUs of ``nvidia-smi --query-gpu``'s CSV; lines of another shape are errors."""
    gpus = []
    for row in csv.reader(table.splitlines(), skipinitialspace=True):
        if len(row) != len(_GPU_FIELDS):
            continue
        model, memory, driver, uuid = (field.strip() for field in row)
        gpus.append(
            Gpu(
                model=model,
                memory_mb=int(memory) if memory.isdigit() else None,  # "[N/A]" on some
                driver=driver or None,
                uuid=uuid or None,
            )
        )
    return tuple(gpus)


def _run(*command: str) -> str | None:
    """Return a command's output, or ``None`` when it fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_GPU_TIMEOUT_S,
            check=True,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _libc() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        # musl does not tell
        name, version = platform.libc_ver()
        return f"{name} {version}".strip() or None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
