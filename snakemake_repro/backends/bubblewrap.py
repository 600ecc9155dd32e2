"""Bubblewrap: the program that shows a job its own file system, network and processes."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from snakemake_repro.backends.basesystem import Base
from snakemake_repro.backends.settingsfiles import USER_ID
from snakemake_repro.errors import IsolationError
from snakemake_repro.logic.sandbox import Mount, depth

HOSTNAME = "job"
_PROBE_S = 30
_START = 'umask 022; arguments=$1; shift; exec "$@" 3<"$arguments"'
_HINTS = {
    "namespace": "The kernel must let this user make user namespaces: see "
    "user.max_user_namespaces, on Debian kernel.unprivileged_userns_clone, on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns (sysctl). In a container the engine has to "
    "allow it.",
    "uid map": "The kernel must let this user map user ids: inside a container, the engine has to "
    "allow it.",
    "proc": "A container that hides parts of /proc allows no inner one: start it so that it does "
    "not (for Docker `--security-opt systempaths=unconfined`).",
    "loopback": "The kernel must let this user set up a network of its own: inside a container, "
    "the engine has to allow it.",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What a job is to see.

    Attributes:
        mounts: Outer ones first.
        variables: Its environment variables, complete.
        network: Whether it shares the node's network.
        everything: Show the node's whole file system as it is.
        devices: Device files and directories of them, beside those that every program needs.
    """

    base: Base
    mounts: tuple[Mount, ...]
    workdir: str
    variables: Mapping[str, str]
    network: bool = False
    everything: bool = False
    devices: tuple[str, ...] = ()


def bubblewrap(need: str = "hermetic jobs need") -> str:
    """Return the path of the program.

    Args:
        need: Who needs it, for the message.

    Raises:
        IsolationError: It is not there.
    """
    path = shutil.which("bwrap")
    if path is None:
        raise IsolationError(
            f"{need} bubblewrap, and this node has no program bwrap",
            hint="Install it (Debian, Fedora, Arch and conda-forge: the package bubblewrap).",
        )
    return path


@functools.cache
def version() -> str:
    """Return the program's name and version.

    Raises:
        IsolationError: It is not there.
    """
    done = subprocess.run(
        [bubblewrap(), "--version"], capture_output=True, text=True, check=False, timeout=_PROBE_S
    )
    return done.stdout.strip() or "bubblewrap"


@functools.lru_cache(maxsize=4)
def probe(base: Base) -> None:
    """Make sure that jobs can be closed off on this node.

    Raises:
        IsolationError: They cannot; the message says what is missing.
    """
    view = View(base=base, mounts=(), workdir="/", variables={})
    done = starts(view, ["/bin/sh", "-c", ":"])
    if done.returncode == 0:
        return
    said = done.stderr.strip().removeprefix("bwrap: ") or f"exit status {done.returncode}"
    raise IsolationError(
        f"hermetic jobs cannot run on this node: bubblewrap says: {said}",
        hint=next((hint for word, hint in _HINTS.items() if word in said), None),
    )


def under_hostname(name: str) -> list[str]:
    """Return what starts a program that sees all of this machine, under another name of it.

    Raises:
        IsolationError: Bubblewrap is not there.
    """
    options = ("--dev-bind", "/", "/", "--unshare-uts", "--hostname", name, "--die-with-parent")
    return [bubblewrap("another name of the machine needs"), *options, "--"]


def gpu_devices(root: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the devices of all NVIDIA GPUs of this node; a variable says which are a job's."""
    return tuple(sorted(map(str, root.glob("nvidia*"))))


def starts(view: View, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program in a view, to see whether it starts there.

    Raises:
        IsolationError: Bubblewrap is not there, or does not answer.
    """
    try:
        return subprocess.run(
            [bubblewrap(), *arguments(view), "--", *argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PROBE_S,
        )
    except subprocess.TimeoutExpired as exc:
        raise IsolationError(f"bubblewrap did not start within {_PROBE_S} s") from exc


def command_line(view: View, argv: Sequence[str], file: Path) -> list[str]:
    """Return how a program is started in a view.

    Variables and mounts stand in a file, for they may be many, and the former secret.

    Args:
        view: What it sees.
        argv: The program with its arguments.
        file: Written for bubblewrap to read.
    """
    file.touch(mode=0o600)
    file.write_bytes(
        b"".join(a.encode("utf-8", "surrogateescape") + b"\0" for a in arguments(view))
    )
    start = ["/bin/sh", "-c", _START, "sh", str(file)]
    return [*start, bubblewrap(), "--args", "3", "--", *argv]


def arguments(view: View) -> list[str]:
    """Return bubblewrap's options for a view."""
    options = [
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", HOSTNAME),
        *("--die-with-parent", "--new-session", "--clearenv"),
    ]
    if not view.network and not view.everything:
        options.append("--unshare-net")
    for name, value in view.variables.items():
        options += ["--setenv", name, value]
    if view.everything:
        options += ["--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"]
    else:
        options += ["--unshare-user", "--uid", str(USER_ID), "--gid", str(USER_ID)]
        options += _closed(view)
    return [*options, "--chdir", view.workdir]


def _closed(view: View) -> Iterable[str]:
    for path, text in view.base.symlinks:
        yield from ("--symlink", text, path)
    yield from ("--proc", "/proc", "--dev", "/dev")
    for device in view.devices:
        yield from ("--dev-bind", device, device)
    if view.devices:  # where their drivers say what they are connected to
        yield from ("--ro-bind", "/sys", "/sys")
    for mount in sorted((*view.base.mounts, *view.mounts), key=lambda m: depth(m.target)):
        yield from ("--bind" if mount.writable else "--ro-bind", mount.source, mount.target)
    yield from ("--remount-ro", "/")
