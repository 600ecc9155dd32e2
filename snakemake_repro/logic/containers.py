"""A job's container: what it sees, what it may use, and what it tells of itself at its end."""

from __future__ import annotations

import dataclasses
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.records import ResourceUse

SCRIPT_PACKAGES = "/snakemake-repro/python"
"""Where scripts in a container find the modules that make their ``snakemake`` object."""

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_PIDS = 16_384
_MANY = 32
"""So many files of one directory are shown by showing the directory: each bind costs time."""

_MIB = 1024 * 1024
_TICKS = 1e9

_CGROUP = (
    # version 1
    "/sys/fs/cgroup/memory/memory.max_usage_in_bytes",
    "/sys/fs/cgroup/memory/memory.oom_control",
    "/sys/fs/cgroup/cpuacct/cpuacct.usage_user",
    "/sys/fs/cgroup/cpuacct/cpuacct.usage_sys",
    # version 2
    "/sys/fs/cgroup/memory.peak",
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/cpu.stat",
)

_SUPERVISOR = f"""\
[ "$PPID" -le 1 ] && [ "$$" -lt 100 ] || {{ echo "no pid namespace of its own"; exit 125; }}
exec 3<&0 </dev/null >>"$1" 2>>"$6"
command -v "$3" >/dev/null || {{ echo "the image has no shell '$3'"; exit 127; }}
{{ read -r _; kill -9 -1; }} <&3 3<&- >/dev/null 2>&1 &
watcher=$!
umask "$5"
"$3" -c "$4" 3<&-
status=$?
kill "$watcher"
for file in {" ".join(_CGROUP)}; do
  [ ! -r "$file" ] || while read -r line; do echo "${{file##*/}} $line"; done <"$file"
done >"$2"
exit "$status"
"""
"""Runs a job in any POSIX shell, which is all that it needs of an image.

Standard input is held open by the worker. When that dies, the watcher reads the end of file and
kills everything in the container. In an engine that gives containers the pids of the host that
would be everything of this user, so the first line makes sure that it does not. At the end the
container's own cgroup is read from inside, which needs no rights; afterwards it is gone.
"""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What an engine says of itself.

    Attributes:
        name: With its version.
        platform: Of its images, such as ``linux/amd64``.
        cpus: Of its machine.
        rootless: Its root is the user who runs it.
        labels: It lets a container touch only files that carry its SELinux label.
        init: It can run a small init process in a container.
    """

    name: str
    platform: str
    cpus: int
    rootless: bool
    labels: bool
    init: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Bind:
    """A file or directory of the node that a container sees at a path."""

    source: str
    target: str
    read_only: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Cage:
    """What a container sees beside its image.

    Attributes:
        binds: Files and directories of the node, or what stands in for them.
        log: File for output and errors, as the container sees it.
        usage: File for what its cgroup counted, likewise.
        usage_here: The same file on the node.
        network: Whether it has the node's network, or none.
        closed: It is to write nowhere else, and to be the same on every node.
        output: File for standard output alone, likewise; ``None`` where that is the log.
    """

    binds: tuple[Bind, ...]
    log: str
    usage: str
    usage_here: str
    network: bool = True
    closed: bool = False
    output: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ContainerJob:
    """Everything that an engine must know to run one job.

    Attributes:
        image: By digest, or an image id.
        command: Program and arguments; the image's own entry point is not used.
        variables: Environment variables beside those of the image.
        user: ``uid:gid`` of the job.
        groups: Further groups of the user.
        cpus: Limit of CPU time per time.
        memory: Limit in bytes; 0 for none.
        pids: Limit of processes and threads.
        gpus: Ids of the devices that the job may use.
        network: The engine's name for the network that the job sees.
        shares: Without network, it may join the empty one of jobs before it.
        hostname: As the job sees it; ``None`` for that of the network.
        read_only: The image's own files cannot be written over.
    """

    image: str
    command: tuple[str, ...]
    workdir: str
    binds: tuple[Bind, ...]
    variables: Mapping[str, str]
    user: str
    groups: tuple[str, ...] = ()
    cpus: float
    memory: int = 0
    pids: int = _PIDS
    gpus: tuple[str, ...] = ()
    network: str = "host"
    shares: bool = False
    hostname: str | None = None
    read_only: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What a container's cgroup counted.

    Attributes:
        peak: Most memory in use at once, page cache included, in bytes; 0 where nobody counted.
        killed: Processes that the kernel killed because the memory was used up.
    """

    user_s: float = 0.0
    system_s: float = 0.0
    peak: int = 0
    killed: int = 0

    def resource_use(self, wall_s: float) -> ResourceUse:
        """Return what the record shows of it."""
        return ResourceUse(
            wall_s=round(wall_s, 6),
            cpu_user_s=round(self.user_s, 6),
            cpu_system_s=round(self.system_s, 6),
            max_rss_mb=round(self.peak / _MIB, 3),
        )

    def problem(self, limit: int) -> str | None:
        """Say what a failed job died of, where memory was it."""
        if not (limit and self.killed):
            return None
        return (
            f"it ran out of memory: its limit is {limit / _MIB:.0f} MiB (`mem_mb`), "
            f"its peak was {self.peak / _MIB:.0f} MiB"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a container ended.

    Attributes:
        status: Exit status of the job.
        said: What the engine itself said, before the job began.
        usage: What the engine counted; ``None`` where the job's supervisor does.
    """

    status: int
    said: str
    usage: Usage | None = None


def supervised(
    *,
    log: str,
    usage: str,
    shell: str,
    text: str,
    umask: str = "0022",
    output: str | None = None,
) -> tuple[str, ...]:
    """Return the command of a container that runs a shell text.

    Args:
        log: File that gets standard output and error, as on the host in the order they come.
        usage: File that gets what ``parse_usage`` reads.
        shell: Name of the shell in the image.
        text: For the shell.
        umask: Of the job, in octal.
        output: File that gets standard output, where that is another one.
    """
    return ("sh", "-c", _SUPERVISOR, "sh", output or log, usage, shell, text, umask, log)


def parse_usage(text: str) -> Usage:
    """Read what the supervisor copied from the cgroup, of either version."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if value.isdigit():
            found[name] = float(value)

    def first(*names: str) -> float:
        return next((found[name] for name in names if name in found), 0.0)

    return Usage(
        user_s=first("cpuacct.usage_user") / _TICKS or first("cpu.stat user_usec") / 1e6,
        system_s=first("cpuacct.usage_sys") / _TICKS or first("cpu.stat system_usec") / 1e6,
        peak=int(first("memory.max_usage_in_bytes", "memory.peak")),
        killed=int(first("memory.oom_control oom_kill", "memory.events oom_kill")),
    )


def passed(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what a container gets of the host's environment: the way to the network, no more."""
    return {name: value for name, value in variables.items() if name.lower() in _PROXIES}


def binds(
    *,
    workdir: str,
    scratch: str,
    sources: Iterable[str],
    inputs: Iterable[str],
    outputs: Iterable[str],
    tmpdir: str | None,
    packages: Mapping[str, str],
    shadow: str | None = None,
) -> tuple[Bind, ...]:
    """Return what a job in a container sees, all of it at the path that it has on the node.

    Args:
        workdir: Working directory; seen as a whole, for reading and writing.
        scratch: The job's own directory for temporary files.
        sources: Directories of the workflow.
        inputs: Absolute paths of input files, and of what they are links to.
        outputs: Absolute paths of output and log files, and of what their directories are links to.
        tmpdir: Temporary directory that the rule's author chose.
        packages: Name -> directory of modules for scripts.
        shadow: Directory in which the job runs, where that is not the working directory.

    Raises:
        EnvironmentSpecError: Something could only be shown by hiding the image's own files.
    """
    written = [workdir, scratch, *filter(None, (tmpdir, shadow))]
    written += [posixpath.dirname(path) for path in outputs]
    whole = _outermost(written)
    for path in whole:
        if path == "/":
            raise EnvironmentSpecError(
                "a container cannot write into the root directory of its node",
                hint="Run in a directory of its own, and let rules write below it.",
            )
    read = [path for path in sources if path != "/" and not _below(path, whole)]
    seen = _outermost(read)
    files = [path for path in _grouped(inputs) if not _below(path, (*whole, *seen))]
    found = [Bind(source=path, target=path, read_only=False) for path in whole]
    found += [Bind(source=path, target=path) for path in (*seen, *_outermost(files))]
    return (*found, *script_binds(packages))


def script_binds(packages: Mapping[str, str]) -> tuple[Bind, ...]:
    """Return where scripts find their modules.

    Args:
        packages: Name -> directory.
    """
    return tuple(
        Bind(source=place, target=f"{SCRIPT_PACKAGES}/{name}")
        for name, place in sorted(packages.items())
    )


def _grouped(paths: Iterable[str]) -> Iterator[str]:
    """Yield paths; in place of many in one directory, that directory."""
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for path in dict.fromkeys(paths):
        folders[posixpath.dirname(path)].append(path)
    for folder, members in folders.items():
        if len(members) > _MANY and folder != "/":
            yield folder
        else:
            yield from members


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths without those that lie below others, sorted."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if not _below(path, found):
            found.append(path)
    return tuple(found)


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)
