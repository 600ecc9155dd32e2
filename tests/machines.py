"""Machines in one: network namespaces on a switch of their own, which nothing else reaches."""

from __future__ import annotations

import dataclasses
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """A network namespace.

    Attributes:
        through: A command that starts another one there.
        address: Its only one, beside loopback.
    """

    through: tuple[str, ...]
    address: str


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def can_network() -> bool:
    """Tell whether namespaces can be made here."""
    name = f"repro-probe-{os.getpid()}"
    try:
        _ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    _ip("netns", "delete", name)
    return True


@contextmanager
def wired(count: int) -> Iterator[list[Machine]]:
    """Give machines that reach one another and nothing else."""
    prefix = f"repro-{secrets.token_hex(3)}"
    with ExitStack() as stack:

        def namespace(name: str) -> str:
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
            _ip("-netns", name, "link", "set", "lo", "up")
            return name

        switch = namespace(f"{prefix}-switch")
        _ip("-netns", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-netns", switch, "link", "set", "bridge", "up")
        machines = []
        for number in range(1, count + 1):
            name, port, address = f"{prefix}-{number}", f"port{number}", f"10.77.0.{number}"
            namespace(name)
            peer = ("peer", "name", "wire", "netns", name)
            _ip("-netns", switch, "link", "add", port, "type", "veth", *peer)
            _ip("-netns", switch, "link", "set", port, "master", "bridge", "up")
            _ip("-netns", name, "addr", "add", f"{address}/24", "dev", "wire")
            _ip("-netns", name, "link", "set", "wire", "up")
            # programs find their own address by asking for the way out
            _ip("-netns", name, "route", "add", "default", "via", "10.77.0.254")
            machines.append(Machine(through=("ip", "netns", "exec", name), address=address))
        yield machines
